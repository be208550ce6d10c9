// Attention over the tiles (pages) of one split, for up to kMaxQueries queries of one KV head: docs/numerics.md, "Attention".
// Scores: one lane is one key, 16 keys lie side by side in a page. Values: one lane is one dimension. Both widen K and V in
// registers; up to kPartQueries queries share each load. Blocks of up to kBlockQueries, products of which are made in two parts,
// have their softmax together, as it waits for its own results. An i16 cache is multiplied as integers, two to a lane.

constexpr int kPartQueries = 6, kBlockQueries = 2 * kPartQueries;
constexpr int kBlockRows = 16;  // that a block has room for
constexpr int kTile = kPageTokens;
constexpr int kTileVectors = kTile / 16;
constexpr int32_t kScaleBlock = 32;  // q8_0

template <int kN>
struct Count {
  static constexpr int value = kN;
};

/// Calls f(Count<n>{}) for n in 1..kPartQueries.
template <typename F>
inline void with_count(int n, F&& f) {
  switch (n) {
    case 1:
      return f(Count<1>{});
    case 2:
      return f(Count<2>{});
    case 3:
      return f(Count<3>{});
    case 4:
      return f(Count<4>{});
    case 5:
      return f(Count<5>{});
    default:
      return f(Count<6>{});
  }
}
/// Calls f(n, first) for the parts of a block of n_queries: its queries [first, first + n).
template <typename F>
inline void for_parts(int n_queries, F&& f) {
  const int n = n_queries > kPartQueries ? (n_queries + 1) / 2 : n_queries;
  f(n, 0);
  if (n < n_queries) f(n_queries - n, n);
}

/// Calls f(Count<n>{}, first) for runs of n vectors whose sums fit the registers beside those of the other queries.
template <typename F>
inline void for_vector_runs(int n_vectors, F f) {
  constexpr int kMost = kF32x16Registers >= 32 ? 4 : 1;
  const int n_runs = (n_vectors + kMost - 1) / kMost;
  for (int run = 0, first = 0, n; run < n_runs; ++run, first += n) {
    n = (n_vectors - first + n_runs - run - 1) / (n_runs - run);
    if constexpr (kMost == 4) {
      if (n == 4) f(Count<4>{}, first);
      if (n == 3) f(Count<3>{}, first);
      if (n == 2) f(Count<2>{}, first);
    }
    if (n == 1) f(Count<1>{}, first);
  }
}

/// x in the slots [begin, end) of a page, `hidden` in the others; x is vector v of a row of slots.
inline F32x16 where_visible(F32x16 x, F32x16 hidden, int v, int begin, int end) {
  if (begin > 16 * v) x = select(first_lanes(begin - 16 * v < 16 ? begin - 16 * v : 16), hidden, x);
  if (end < 16 * (v + 1)) x = select(first_lanes(end > 16 * v ? end - 16 * v : 0), x, hidden);
  return x;
}

struct KeysF32 {
  const float* p;
  int32_t head_dim;
  F32x16 scale(int, int32_t) const { return zero_f32(); }
  F32x16 get(int group, int32_t d, F32x16) const { return load(p + (static_cast<int64_t>(group) * head_dim + d) * 16); }
};
struct KeysF16 {
  const uint16_t* p;
  int32_t head_dim;
  F32x16 scale(int, int32_t) const { return zero_f32(); }
  F32x16 get(int group, int32_t d, F32x16) const { return load_f16(p + (static_cast<int64_t>(group) * head_dim + d) * 16); }
};
struct KeysQ8 {
  const int8_t* p;
  const uint16_t* scales;
  int32_t head_dim;
  F32x16 scale(int group, int32_t d) const {
    return load_f16(scales + (group * (head_dim / kScaleBlock) + d / kScaleBlock) * 16);
  }
  F32x16 get(int group, int32_t d, F32x16 scale) const {
    return mul(load_i8(p + (static_cast<int64_t>(group) * head_dim + d) * 16), scale);
  }
};

struct ValuesF32 {
  const float* p;
  int32_t head_dim;
  F32x16 get(int j, int32_t d) const { return load(p + static_cast<int64_t>(j) * head_dim + d); }
  F32x16 get_first(int j, int32_t d, int n) const { return load_first(p + static_cast<int64_t>(j) * head_dim + d, n); }
};
struct ValuesF16 {
  const uint16_t* p;
  int32_t head_dim;
  F32x16 get(int j, int32_t d) const { return load_f16(p + static_cast<int64_t>(j) * head_dim + d); }
  F32x16 get_first(int j, int32_t d, int n) const {
    uint16_t bits[16] = {};
    __builtin_memcpy(bits, p + static_cast<int64_t>(j) * head_dim + d, static_cast<size_t>(n) * 2);
    return load_f16(bits);
  }
};
struct ValuesQ8 {
  const int8_t* p;
  const float* scales;  // widened
  int32_t head_dim;
  F32x16 get(int j, int32_t d) const {
    return mul(load_i8(p + static_cast<int64_t>(j) * head_dim + d),
               splat(scales[j * (head_dim / kScaleBlock) + d / kScaleBlock]));
  }
  F32x16 get_first(int j, int32_t d, int) const { return get(j, d); }  // heads are whole blocks of 32
};

/// What a block has for each pair of query and slot, and what its rows are to be reduced from.
struct BlockRows {
  alignas(64) float s[kBlockRows][kTile];            // scores, then what float values are multiplied by
  alignas(64) int16_t weight[kBlockQueries][kTile];  // of an i16 cache's values, as integers
  alignas(64) float top[kBlockRows][16] = {}, sum[kBlockRows][16] = {};
};
/// What a block of queries has in one tile.
struct QueryBlock {
  const float* const* queries;
  const int16_t* query_words;  // of an i16 cache: of each part [head_dim / 2][n][2]
  const float* factor;         // of each query: of its sums, to scores in their unit
  const float* addend;         // of each slot, to scores before a softcap
  BlockRows* rows;
  int n;
  int begin[kBlockRows] = {}, end[kBlockRows] = {};  // visible slots
  bool whole;                                        // all queries see all slots
  alignas(64) float top[kBlockRows];                 // the highest score
  alignas(64) float carry[kBlockRows];               // 2^(old maximum - new maximum)
  alignas(64) float part[kBlockRows];                // 2^(top - new maximum)
};

/// s[i][16 group ...] = q_i . k, for kGroups groups of 16 keys and the part of kQueries from query `first` on.
template <int kQueries, int kGroups, typename Keys>
inline void part_scores(QueryBlock& block, int first, const Keys& keys, int group) {
  F32x16 acc[kQueries][kGroups];
  for (int i = 0; i < kQueries; ++i)
    for (int g = 0; g < kGroups; ++g) acc[i][g] = zero_f32();
  const float* q[kQueries];
  for (int i = 0; i < kQueries; ++i) q[i] = block.queries[first + i];
  for (int32_t d0 = 0; d0 < keys.head_dim; d0 += kScaleBlock) {
    F32x16 scale[kGroups];
    for (int g = 0; g < kGroups; ++g) scale[g] = keys.scale(group + g, d0);
    const int32_t end = d0 + kScaleBlock < keys.head_dim ? d0 + kScaleBlock : keys.head_dim;
    for (int32_t d = d0; d < end; ++d) {
      F32x16 k[kGroups];
      for (int g = 0; g < kGroups; ++g) k[g] = keys.get(group + g, d, scale[g]);
      for (int i = 0; i < kQueries; ++i) {
        const F32x16 x = splat(q[i][d]);
        for (int g = 0; g < kGroups; ++g) acc[i][g] = fma(x, k[g], acc[i][g]);
      }
    }
  }
  for (int i = 0; i < kQueries; ++i)
    for (int g = 0; g < kGroups; ++g)
      store(&block.rows->s[first + i][(group + g) * 16],
            fma(acc[i][g], splat(block.factor[first + i]), load(block.addend + (group + g) * 16)));
}

struct KeysI16 {
  const int16_t* p;
  const float* scales;
  int32_t head_dim;
  int64_t group_pairs() const { return head_dim / 2 * int64_t{16}; }
  const int32_t* pairs(int group, int32_t d) const {
    return reinterpret_cast<const int32_t*>(p) + group * group_pairs() + d / 2 * 16;
  }
};
struct ValuesI16 {
  const int16_t* p;
  int32_t head_dim;
  const int32_t* pairs(int j, int32_t d) const {
    return reinterpret_cast<const int32_t*>(p) + static_cast<int64_t>(j / 2) * head_dim + d;
  }
};

/// Whether products of integers leave the highest score of each row too, where no softcap changes scores afterwards.
constexpr bool kScoresHaveTops = kF32x16Registers >= 32;

/// The same of integers. Not inlined, so that the sums stay in registers.
template <int kQueries, int kGroups>
__attribute__((noinline)) void part_scores(QueryBlock& block, int first, const KeysI16& keys, int group) {
  for (int32_t begin = 0; begin < keys.head_dim; begin += kWordDims) {
    const int32_t end = begin + kWordDims < keys.head_dim ? begin + kWordDims : keys.head_dim;
    I32x16 sum[kQueries][kGroups];
    PHIAL_UNROLL
    for (int i = 0; i < kQueries; ++i) PHIAL_UNROLL
    for (int g = 0; g < kGroups; ++g) sum[i][g] = zero_i32();
    const int16_t* q = block.query_words + first * keys.head_dim + begin * kQueries;
    const int32_t* line = keys.pairs(group, begin);
    const int64_t stride = keys.group_pairs();
    for (int32_t d = begin; d < end; d += 2, q += 2 * kQueries, line += 16) {
      I32x16 k[kGroups];
      PHIAL_UNROLL
      for (int g = 0; g < kGroups; ++g) k[g] = load(line + g * stride);
      PHIAL_UNROLL
      for (int i = 0; i < kQueries; ++i) {
        const I32x16 x = splat_dword(q + i * 2);
        PHIAL_UNROLL
        for (int g = 0; g < kGroups; ++g) add_dot_words(sum[i][g], k[g], x);
      }
    }
    const bool last = end == keys.head_dim;
    F32x16 top[kQueries];
    PHIAL_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      const F32x16 scale = load(keys.scales + (group + g) * 16), addend = load(block.addend + (group + g) * 16);
      PHIAL_UNROLL
      for (int i = 0; i < kQueries; ++i) {
        float* const to = &block.rows->s[first + i][(group + g) * 16];
        F32x16 value = to_f32(sum[i][g]);
        if (begin > 0) value = add(load(to), value);
        if (last) value = fma(mul(value, scale), splat(block.factor[first + i]), addend);
        store(to, value);
        top[i] = g == 0 ? value : max(top[i], value);
      }
    }
    if constexpr (kScoresHaveTops) {
      PHIAL_UNROLL
      for (int i = 0; i < kQueries; ++i) store(block.rows->top[first + i], top[i]);
    }
  }
}

/// acc_d = acc_d * carry + part * sum of weight_j v_jd over the page's slots [begin, end), two at a time.
template <int kQueries, int kVectors>
__attribute__((noinline)) void add_words(const QueryBlock& block, int first, const ValuesI16& values, float* acc_row,
                                         int64_t stride, int begin, int end, int32_t d) {
  I32x16 sum[kQueries][kVectors];
  PHIAL_UNROLL
  for (int i = 0; i < kQueries; ++i) PHIAL_UNROLL
  for (int v = 0; v < kVectors; ++v) sum[i][v] = zero_i32();
  const int32_t* line = values.pairs(begin, d);
  const int16_t* weights = &block.rows->weight[first][begin / 2 * 2];
  for (int n = (end + 1) / 2 - begin / 2; n > 0; --n, line += values.head_dim, weights += 2) {
    I32x16 x[kVectors];
    PHIAL_UNROLL
    for (int v = 0; v < kVectors; ++v) x[v] = load(line + 16 * v);
    PHIAL_UNROLL
    for (int i = 0; i < kQueries; ++i) {
      const I32x16 weight = splat_dword(weights + i * kTile);
      PHIAL_UNROLL
      for (int v = 0; v < kVectors; ++v) add_dot_words(sum[i][v], x[v], weight);
    }
  }
  PHIAL_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    const F32x16 carry = splat(block.carry[first + i]), part = splat(block.part[first + i]);
    PHIAL_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* const acc = acc_row + i * stride + d + 16 * v;
      store(acc, fma(to_f32(sum[i][v]), part, mul(load(acc), carry)));
    }
  }
}

/// The last vector of a head that is not whole vectors reads on into the next slots; its accumulators have room for that.
template <int kQueries>
void add_all_words(const QueryBlock& block, int first, const ValuesI16& values, float* acc_row, int64_t stride, int begin,
                   int end) {
  for_vector_runs((values.head_dim + 15) / 16, [&](auto n, int vector) {
    add_words<kQueries, decltype(n)::value>(block, first, values, acc_row, stride, begin, end, vector * 16);
  });
}

template <int kQueries, typename Keys>
void all_scores(QueryBlock& block, int first, const Keys& keys, int first_group, int end_group) {
  if constexpr (kF32x16Registers >= 32) {
    if (end_group - first_group > 2) return part_scores<kQueries, 4>(block, first, keys, 0);
    first_group = first_group < 3 ? first_group : 2;
    part_scores<kQueries, 2>(block, first, keys, first_group);
  } else {
    for (int g = first_group; g < end_group; ++g) part_scores<kQueries, 1>(block, first, keys, g);
  }
}

/// acc_d = acc_d * carry, then fma(p_j, v_jd, acc_d) for j in [begin, end) in order: kVectors vectors of dimensions from d,
/// for kQueries rows of probabilities and of accumulators.
template <int kQueries, int kVectors, typename Values>
inline void add_values(const float (*p)[kTile], const Values& values, float* acc_row, int64_t stride, const float* carry,
                       int begin, int end, int32_t d) {
  F32x16 acc[kQueries][kVectors];
  for (int i = 0; i < kQueries; ++i)
    for (int v = 0; v < kVectors; ++v) acc[i][v] = mul(load(acc_row + i * stride + d + 16 * v), splat(carry[i]));
  for (int j = begin; j < end; ++j) {
    F32x16 x[kVectors];
    for (int v = 0; v < kVectors; ++v) x[v] = values.get(j, d + 16 * v);
    for (int i = 0; i < kQueries; ++i) {
      const F32x16 weight = splat(p[i][j]);
      for (int v = 0; v < kVectors; ++v) acc[i][v] = fma(weight, x[v], acc[i][v]);
    }
  }
  for (int i = 0; i < kQueries; ++i)
    for (int v = 0; v < kVectors; ++v) store(acc_row + i * stride + d + 16 * v, acc[i][v]);
}

/// The last dimensions of a head that is not whole vectors; rare, so one query at a time.
template <int kQueries, typename Values>
inline void add_last_values(const float (*p)[kTile], const Values& values, float* acc_row, int64_t stride, const float* carry,
                            int begin, int end, int32_t d) {
  for (int i = 0; i < kQueries; ++i) {
    F32x16 acc = mul(load(acc_row + i * stride + d), splat(carry[i]));
    for (int j = begin; j < end; ++j) acc = fma(splat(p[i][j]), values.get_first(j, d, values.head_dim - d), acc);
    store(acc_row + i * stride + d, acc);
  }
}

template <int kQueries, typename Values>
void add_all_values(const float (*p)[kTile], const Values& values, float* acc_row, int64_t stride, const float* carry, int begin,
                    int end) {
  const int n_vectors = values.head_dim / 16;
  for_vector_runs(n_vectors, [&](auto n, int first) {
    add_values<kQueries, decltype(n)::value>(p, values, acc_row, stride, carry, begin, end, first * 16);
  });
  if (n_vectors * 16 < values.head_dim) add_last_values<kQueries>(p, values, acc_row, stride, carry, begin, end, n_vectors * 16);
}

inline void begin_merge(const SoftmaxState& total, int64_t n_rows) {
  for (int64_t i = 0; i < n_rows; ++i) {
    for (int64_t d = 0; d < total.stride() - 16; d += 16) store(total.row(i) + d, zero_f32());
    total.max(i) = -__builtin_inff();
    total.sum(i) = 0;
  }
}

/// Maximum and sum of the queries of a task, so far, side by side.
struct RunningSoftmax {
  alignas(64) float max[kMaxQueries + 16], sum[kMaxQueries + 16];

  explicit RunningSoftmax(int n) {
    for (int i = 0; i < n; i += 16) store(max + i, splat(-__builtin_inff())), store(sum + i, zero_f32());
  }
  void save(const SoftmaxState& state, int n) const {
    for (int i = 0; i < n; ++i) state.max(i) = max[i], state.sum(i) = sum[i];
  }
};

/// The scales of a page's values in an i16 cache: their exponents and their inverses. Zeros of another cache.
struct SlotPowers {
  alignas(64) float exponent[kTile] = {}, inverse[kTile] = {};

  void set(const float* scales) {
    for (int i = 0; i < kTile; i += 16) {
      const I32x16 field = shift_right_bits<23>(as_i32(load(scales + i)));
      store(exponent + i, to_f32(sub(field, splat(127))));
      store(inverse + i, as_f32(shift_left<23>(sub(splat(254), field))));
    }
  }
};
/// What is added to scores before a softcap: with one, the exponents are added after it.
inline const float* score_addend(const SlotPowers& powers, const ScoreUnit& unit) {
  alignas(64) static constexpr float kZeros[kTile] = {};
  return unit.cap > 0 ? kZeros : powers.exponent;
}

// The softmax of a block in passes over its rows, so that what a row is reduced to is had for all rows together.

/// The highest score of each row, after the softcap; those of keys not seen become -infinity.
template <bool whole>
inline void row_tops(QueryBlock& block, float cap, const SlotPowers& powers) {
  for (int i = 0; i < block.n; ++i) {
    F32x16 highest = splat(-__builtin_inff());
    if (whole || block.begin[i] < block.end[i]) {
      PHIAL_UNROLL
      for (int v = 0; v < kTileVectors; ++v) {
        F32x16 x = load(&block.rows->s[i][16 * v]);
        if (cap > 0) x = fma(splat(cap), tanh(x), load(powers.exponent + 16 * v));
        if constexpr (!whole) x = where_visible(x, splat(-__builtin_inff()), v, block.begin[i], block.end[i]);
        highest = max(highest, x);
        if (!whole || cap > 0) store(&block.rows->s[i][16 * v], x);
      }
    }
    store(block.rows->top[i], highest);
  }
}

/// Moves the maximum of each query on. A query that has seen nothing yet and sees nothing here keeps -infinity.
inline void move_max(QueryBlock& block, RunningSoftmax& running, int row) {
  const F32x16 top = max_of_rows(block.rows->top, block.n), old = load(running.max + row), m = max(old, top);
  store(block.top, top);
  store(block.carry, exp2_not_positive(select(less(old, m), sub(old, m), zero_f32())));
  store(block.part, exp2_not_positive(select(less(top, m), sub(top, m), zero_f32())));
  store_first(running.max + row, m, block.n);
}
/// Moves the sum on, from what row_probabilities left.
inline void move_sum(QueryBlock& block, RunningSoftmax& running, int row) {
  const F32x16 sum =
      fma(load(running.sum + row), load(block.carry), mul(sums_of_rows(block.rows->sum, block.n), load(block.part)));
  store_first(running.sum + row, sum, block.n);
}

/// p = 2^(x - top) of row i, 0 for keys not seen, whose x is -infinity; leaves the lanes of their sum.
template <bool whole>
inline void row_probabilities(QueryBlock& block, int i, F32x16 (&p)[kTileVectors]) {
  F32x16 total = zero_f32();
  const bool sees = whole || block.begin[i] < block.end[i];
  PHIAL_UNROLL
  for (int v = 0; v < kTileVectors; ++v) p[v] = zero_f32();
  if (sees) {
    PHIAL_UNROLL
    for (int v = 0; v < kTileVectors; ++v) {
      p[v] = exp2_not_positive(sub(load(&block.rows->s[i][16 * v]), splat(block.top[i])));
      total = add(total, p[v]);
    }
  }
  store(block.rows->sum[i], total);
}

/// Scores to what float values are multiplied by.
template <bool whole>
inline void float_weights(QueryBlock& block, const AttentionTask& task, RunningSoftmax& running, int row,
                          const SlotPowers& powers) {
  row_tops<whole>(block, task.unit.cap, powers);
  move_max(block, running, row);
  for (int i = 0; i < block.n; ++i) {
    F32x16 p[kTileVectors];
    row_probabilities<whole>(block, i, p);
    PHIAL_UNROLL
    for (int v = 0; v < kTileVectors; ++v) store(&block.rows->s[i][16 * v], mul(p[v], splat(block.part[i])));
  }
  move_sum(block, running, row);
}

/// Row i's weights of an i16 cache's values, 0 for keys not seen; leaves the lanes of what they add to the sum.
template <bool whole>
inline void row_words(QueryBlock& block, int i, const SlotPowers& powers, I32x16 (&words)[kTileVectors]) {
  F32x16 total = zero_f32();
  PHIAL_UNROLL
  for (int v = 0; v < kTileVectors; ++v) {
    F32x16 weight = attention_weight(sub(load(&block.rows->s[i][16 * v]), splat(block.top[i]))),
           inverse = load(powers.inverse + 16 * v);
    if constexpr (!whole) {
      weight = where_visible(weight, zero_f32(), v, block.begin[i], block.end[i]);
      inverse = where_visible(inverse, zero_f32(), v, block.begin[i], block.end[i]);
    }
    total = fma(weight, inverse, total);
    words[v] = to_i32(weight);
  }
  store(block.rows->sum[i], total);
}
/// has_tops: rows->top are the highest scores already, of rows that see all.
template <bool whole>
inline void word_weights(QueryBlock& block, const AttentionTask& task, RunningSoftmax& running, int row, const SlotPowers& powers,
                         bool has_tops) {
  if (!whole || !has_tops) row_tops<whole>(block, task.unit.cap, powers);
  move_max(block, running, row);
  for (int i = 0; i < block.n; ++i) {
    I32x16 words[kTileVectors];
    row_words<whole>(block, i, powers, words);
    PHIAL_UNROLL
    for (int v = 0; v < kTileVectors; ++v) store_i16(&block.rows->weight[i][16 * v], words[v]);
  }
  move_sum(block, running, row);
}

template <typename Keys>
inline void scores_with(QueryBlock& block, const Keys& keys, int first_group, int end_group) {
  for_parts(block.n, [&](int n_queries, int first) {
    with_count(n_queries, [&](auto n) { all_scores<decltype(n)::value>(block, first, keys, first_group, end_group); });
  });
}
/// Queries see different slots at the causal edge and at a window's start; what all of a part see goes through one pass.
template <typename Values>
inline void values_with(const QueryBlock& block, const Values& values, const SoftmaxState& state, int64_t row) {
  constexpr float kOnes[kPartQueries] = {1, 1, 1, 1, 1, 1};
  for_parts(block.n, [&](int n_queries, int first) {
    const int last = first + n_queries;
    int common_begin = 0, common_end = kTile;
    bool same_begin = true;
    for (int i = first; i < last; ++i) {
      common_begin = block.begin[i] > common_begin ? block.begin[i] : common_begin;
      common_end = block.end[i] < common_end ? block.end[i] : common_end;
      same_begin = same_begin && block.begin[i] == block.begin[first];
    }
    const auto one = [&](int i, const float* carry, int begin, int end) {
      add_all_values<1>(&block.rows->s[i], values, state.row(row + i), 0, carry, begin, end);
    };
    if (common_begin >= common_end) {
      for (int i = first; i < last; ++i) one(i, &block.carry[i], block.begin[i], block.end[i]);
      return;
    }
    if (!same_begin)
      for (int i = first; i < last; ++i) one(i, &block.carry[i], block.begin[i], common_begin);
    with_count(n_queries, [&](auto n) {
      add_all_values<decltype(n)::value>(&block.rows->s[first], values, state.row(row + first), state.stride(),
                                         same_begin ? &block.carry[first] : kOnes, common_begin, common_end);
    });
    for (int i = first; i < last; ++i)
      if (block.end[i] > common_end) one(i, kOnes, common_end, block.end[i]);
  });
}

inline void values_with(QueryBlock& block, const ValuesI16& values, const SoftmaxState& state, int64_t row, int begin, int end) {
  for_parts(block.n, [&](int n_queries, int first) {
    with_count(n_queries, [&](auto n) {
      add_all_words<decltype(n)::value>(block, first, values, state.row(row + first), state.stride(), begin, end);
    });
  });
}

/// Sets the visible slots of each query in a tile; false when none sees any. Most tiles are seen whole by all: the first query
/// sees its end, and the last its beginning.
inline bool set_visible(QueryBlock& block, const int32_t* positions, int32_t tile, int32_t window, int& first, int& end) {
  const int64_t tile_begin = int64_t{tile} * kTile;
  block.whole = positions[0] >= tile_begin + kTile - 1 && (window <= 0 || positions[block.n - 1] - window < tile_begin);
  if (block.whole) {
    for (int i = 0; i < kBlockRows; ++i) block.begin[i] = 0, block.end[i] = kTile;
    first = 0, end = kTile;
    return true;
  }
  first = kTile, end = 0;
  for (int i = 0; i < block.n; ++i) {
    const int32_t last = positions[i] - tile * kTile + 1;
    const int32_t begin = window > 0 ? last - window : 0;
    block.begin[i] = begin > 0 ? begin : 0;
    block.end[i] = last < kTile ? last : kTile;
    if (block.begin[i] >= block.end[i]) {
      block.begin[i] = block.end[i] = 0;
      continue;
    }
    first = block.begin[i] < first ? block.begin[i] : first;
    end = block.end[i] > end ? block.end[i] : end;
  }
  return first < end;
}

/// One head in the pages of a cache, of which a part is asked for beside each of n blocks.
struct HeadLines {
  int64_t begin;
  int32_t n_lines, per_block;

  HeadLines(DType dtype, int64_t head_at, int32_t head_dim, int n) {
    const int32_t value_bytes = dtype == DType::f32 ? 4 : dtype == DType::q8_0 ? 1 : 2;
    begin = head_at * value_bytes, n_lines = kTile * head_dim * value_bytes / 64, per_block = (n_lines + n - 1) / n;
  }
  void prefetch(const std::byte* page, int block) const {
    __asm__ volatile("");  // else GCC takes the function for one without effects, and drops its calls
    const int32_t first = block * per_block, end = first + per_block < n_lines ? first + per_block : n_lines;
    for (int32_t line = first; line < end; ++line) __builtin_prefetch(page + begin + line * 64, 0, 2);
  }
};

inline void attention_split(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  const int32_t head_dim = kv.head_dim;
  const uint64_t k_bytes = kv_page_bytes(kv.k_dtype, kv.n_kv_heads, head_dim);
  const uint64_t v_bytes = kv_page_bytes(kv.v_dtype, kv.n_kv_heads, head_dim);
  const int64_t page_values = static_cast<int64_t>(kPageTokens) * kv.n_kv_heads * head_dim;
  const int64_t head_at = k_index(head_dim, task.kv_head, 0, 0);  // the same in K and V pages
  const int64_t scales_at = head_at / kScaleBlock;
  const SoftmaxState& state = task.state;

  begin_merge(state, task.n_queries);
  RunningSoftmax running(task.n_queries);
  alignas(64) float v_scales[kTile * kMaxHeadDimQ8 / kScaleBlock];
  alignas(64) int16_t query_words[kMaxQueries * kMaxHeadDimI16];
  float factor[kMaxQueries];
  for (int i = 0; i < task.n_queries; ++i) factor[i] = task.unit.factor;
  BlockRows rows;
  QueryBlock block;
  block.rows = &rows;
  SlotPowers powers;
  block.addend = score_addend(powers, task.unit);
  const int n_blocks = (task.n_queries + kBlockQueries - 1) / kBlockQueries;
  const bool has_tops = kScoresHaveTops && kv.k_dtype == DType::i16 && task.unit.cap <= 0;
  const HeadLines k_lines(kv.k_dtype, head_at, head_dim, n_blocks), v_lines(kv.v_dtype, head_at, head_dim, n_blocks);
  const auto block_size = [&](int b, int row) { return (task.n_queries - row + n_blocks - b - 1) / (n_blocks - b); };
  if (kv.k_dtype == DType::i16) {
    for (int b = 0, row = 0, n; b < n_blocks; ++b, row += n) {
      n = block_size(b, row);
      for_parts(n, [&](int n_queries, int first) {
        for (int i = 0, at = row + first; i < n_queries; ++i) {
          int16_t words[kMaxHeadDimI16];
          factor[at + i] = quantize_to(kMaxWord, task.queries[at + i], head_dim, words) * task.unit.factor;
          for (int32_t d = 0; d < head_dim; d += 2)
            __builtin_memcpy(query_words + at * head_dim + d * n_queries + i * 2, words + d, 4);
        }
      });
    }
  }
  for (int32_t tile = task.first_tile; tile < task.end_tile; ++tile) {
    const std::byte* k_page = kv.k + task.pages[tile] * k_bytes;
    const std::byte* v_page = kv.v + task.pages[tile] * v_bytes;
    if (kv.v_dtype == DType::i16) powers.set(reinterpret_cast<const float*>(v_page + slot_scales_at(kv, task.kv_head)));
    if (kv.v_dtype == DType::q8_0) {
      const uint16_t* from = reinterpret_cast<const uint16_t*>(v_page + page_values) + scales_at;
      for (int i = 0; i < kTile * head_dim / kScaleBlock; i += 16) store(v_scales + i, load_f16(from + i));
    }
    int row = 0;
    for (int b = 0; b < n_blocks; ++b) {
      const bool has_next = tile + 1 < task.end_tile;
      if (has_next) k_lines.prefetch(kv.k + task.pages[tile + 1] * k_bytes, b);
      block.queries = task.queries + row;
      block.query_words = query_words + row * head_dim;
      block.factor = factor + row;
      block.n = block_size(b, row);
      int first, end;
      if (set_visible(block, task.positions + row, tile, task.window, first, end)) {
        const int first_group = first / 16, end_group = (end + 15) / 16;
        switch (kv.k_dtype) {  // the cache formats
          case DType::f32:
            scores_with(block, KeysF32{reinterpret_cast<const float*>(k_page) + head_at, head_dim}, first_group, end_group);
            break;
          case DType::f16:
            scores_with(block, KeysF16{reinterpret_cast<const uint16_t*>(k_page) + head_at, head_dim}, first_group, end_group);
            break;
          case DType::i16:
            scores_with(block,
                        KeysI16{reinterpret_cast<const int16_t*>(k_page) + head_at,
                                reinterpret_cast<const float*>(k_page + slot_scales_at(kv, task.kv_head)), head_dim},
                        first_group, end_group);
            break;
          default:
            scores_with(block,
                        KeysQ8{reinterpret_cast<const int8_t*>(k_page) + head_at,
                               reinterpret_cast<const uint16_t*>(k_page + page_values) + scales_at, head_dim},
                        first_group, end_group);
        }
        if (kv.v_dtype != DType::i16)
          block.whole ? float_weights<true>(block, task, running, row, powers)
                      : float_weights<false>(block, task, running, row, powers);
        else
          block.whole ? word_weights<true>(block, task, running, row, powers, has_tops)
                      : word_weights<false>(block, task, running, row, powers, has_tops);
        if (has_next) v_lines.prefetch(kv.v + task.pages[tile + 1] * v_bytes, b);
        switch (kv.v_dtype) {  // the cache formats
          case DType::f32:
            values_with(block, ValuesF32{reinterpret_cast<const float*>(v_page) + head_at, head_dim}, state, row);
            break;
          case DType::f16:
            values_with(block, ValuesF16{reinterpret_cast<const uint16_t*>(v_page) + head_at, head_dim}, state, row);
            break;
          case DType::i16:
            values_with(block, ValuesI16{reinterpret_cast<const int16_t*>(v_page) + head_at, head_dim}, state, row, first, end);
            break;
          default:
            values_with(block, ValuesQ8{reinterpret_cast<const int8_t*>(v_page) + head_at, v_scales, head_dim}, state, row);
        }
      }
      row += block.n;
    }
  }
  running.save(state, task.n_queries);
}

inline void merge_split(const SoftmaxState& total, const SoftmaxState& split, int64_t n_rows) {
  for (int64_t i = 0; i < n_rows; ++i) {
    if (split.max(i) == -__builtin_inff()) continue;  // saw nothing
    if (total.max(i) == -__builtin_inff()) {
      __builtin_memcpy(total.row(i), split.row(i), static_cast<size_t>(total.stride()) * sizeof(float));
      continue;
    }
    const float m = total.max(i) > split.max(i) ? total.max(i) : split.max(i);
    alignas(64) float difference[16] = {total.max(i) - m, split.max(i) - m};
    store(difference, exp2_not_positive(load(difference)));
    const float a = difference[0], b = difference[1];
    total.max(i) = m;
    total.sum(i) = __builtin_fmaf(total.sum(i), a, split.sum(i) * b);
    for (int64_t d = 0; d < total.stride() - 16; d += 16)
      store(total.row(i) + d, fma(load(total.row(i) + d), splat(a), mul(load(split.row(i) + d), splat(b))));
  }
}

inline void finish_row(float* out, const SoftmaxState& total, int64_t row) {
  const F32x16 sum = splat(total.sum(row));
  for (int32_t d = 0; d < total.head_dim; d += 16)
    store_first(out + d, div(load(total.row(row) + d), sum), total.head_dim - d < 16 ? total.head_dim - d : 16);
}
