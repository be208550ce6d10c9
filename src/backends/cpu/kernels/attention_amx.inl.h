// Attention over an i16 cache on AMX tiles, for many queries. Tiles hold no words, so integers go in parts whose products have
// exact sums, the same as those of words: ByteTiles' two planes of bytes everywhere, HalfTiles' f16 where tiles multiply these.

constexpr int kTileQueries = kTileRows;  // of a block
constexpr int kMostBlocks = kMaxQueries / kTileQueries;
constexpr int kTileLeastQueries = 12;         // below, words are faster
constexpr int32_t kTileMostDims = kWordDims;  // of a head: one run of integers

/// A tile, and the sums of products in one.
using Tile = uint8_t[kTileRows][64];
using TileSums = int32_t[kTileRows][16];

/// Sixteen integers of a row of a tile, in two planes of bytes; `at` counts values.
struct BytePlanes {
  uint8_t *low, *high;
  BytePlanes operator+(int64_t at) const {
    const int64_t to = at / 64 * static_cast<int64_t>(sizeof(Tile)) + at % 64;
    return {low + to, high + to};
  }
};
inline void store_integers(BytePlanes to, I32x16 v) {
  v = lanes_0213(v);
  store_i8(reinterpret_cast<int8_t*>(to.low), v);
  store_i8(reinterpret_cast<int8_t*>(to.high), shift_right<8>(v));
}

/// Integers as two planes of bytes, the low one unsigned, the high one signed: four products. Four bytes of a tile's row lie in
/// the order 0, 2, 1, 3 of the values, which puts two lines of pairs together with one select a plane; queries and weights are
/// put in that order too. kSteps: tiles of a row of queries or keys.
template <int kStepsOfRow>
struct alignas(64) ByteTiles {
  static constexpr int kSteps = kStepsOfRow;
  static constexpr int kDims = 64;      // of a tile
  static constexpr int kSums = 3;       // low x low, the mixed products, high x high
  static constexpr int kKeyGroups = 2;  // of 16 keys that are multiplied at once
  static constexpr int kGroups = 1;     // of 16 dimensions of values that are multiplied at once
  static_assert(kPageTokens == kDims);  // a page is one tile of keys in the products with values

  Tile queries[kMostBlocks][2][kSteps];
  Tile keys[kTileVectors][2][kSteps];   // 16 keys each
  Tile values[kSteps * kDims / 16][2];  // 16 dimensions each
  Tile weights[kMostBlocks][2];

  static F32x16 whole_sum(const TileSums (&sums)[kSums], int row) {
    const I32x16 upper = add(load(sums[1][row]), times_256(load(sums[2][row])));
    return to_f32(add(load(sums[0][row]), times_256(upper)));
  }

  float put_query(int block, int row, const float* query, int32_t head_dim) {
    return quantize_to(kMaxWord, query, head_dim, BytePlanes{queries[block][0][0][row], queries[block][1][0][row]});
  }
  void put_weights(int block, int row, const I32x16 (&words)[kTileVectors]) {
    I32x16 low, high;
    byte_lines(words, low, high);
    store_line(weights[block][0][row], low);
    store_line(weights[block][1][row], high);
  }

  /// Two lines of pairs of words to a line of each plane.
  static void split_pairs(const int32_t* first, const int32_t* second, uint8_t* low, uint8_t* high) {
    const I32x16 low_bytes = splat(0x00FF00FF), a = load(first), b = load(second);
    store_line(low, bits_select(low_bytes, a, shift_left<8>(b)));
    store_line(high, bits_select(low_bytes, shift_right_bits<8>(a), b));
  }
  void unpack_keys(const KeysI16& from) {
    for (int g = 0; g < kTileVectors; ++g) {
      uint8_t(*low)[64] = keys[g][0][0], (*high)[64] = keys[g][1][0];  // a plane's tiles follow each other
      const int32_t* line = from.pairs(g, 0);
      for (int32_t i = 0; i < from.head_dim / 4; ++i, line += 32) split_pairs(line, line + 16, low[i], high[i]);
    }
  }
  void unpack_values(const ValuesI16& from) {
    for (int j = 0; j < kPageTokens / 2; j += 2) {
      const int line = j % 16 / 4 * 4 + j / 16 * 2 + j % 4 / 2;  // where byte_lines puts slots j, j + 32, j + 1, j + 33
      const int32_t *first = from.pairs(j, 0), *second = from.pairs(j + 32, 0);
      for (int g = 0; g < from.head_dim / 16; ++g)
        split_pairs(first + 16 * g, second + 16 * g, values[g][0][line], values[g][1][line]);
    }
  }

  /// A step of the products of a block with a pair of groups of keys; sums of the first are in tiles 0 to 2, of the second in 3
  /// to 5.
  [[gnu::always_inline]] void multiply_scores(int block, int turn, int step) const {
    tile_load<6>(queries[block][0][step], 64);
    multiply_planes<0, 0>(turn, step);
    multiply_planes<0, 1>(turn, step);
    tile_load<6>(queries[block][1][step], 64);
    multiply_planes<1, 0>(turn, step);
    multiply_planes<1, 1>(turn, step);
  }
  template <int query_plane, int key_plane>
  [[gnu::always_inline]] void multiply_planes(int turn, int step) const {
    constexpr int sum = query_plane + key_plane;
    tile_load<7>(keys[2 * turn][key_plane][step], 64);
    tile_dot<sum, 6, 7, query_plane == 1, key_plane == 1>();
    tile_load<7>(keys[2 * turn + 1][key_plane][step], 64);
    tile_dot<kSums + sum, 6, 7, query_plane == 1, key_plane == 1>();
  }
  /// The weights of a block, which stay in tiles 6 and 7, with a group of dimensions; sums in tiles 0 to 2.
  void begin_values(int block) const {
    tile_load<6>(weights[block][0], 64);
    tile_load<7>(weights[block][1], 64);
  }
  [[gnu::always_inline]] void multiply_values(int group) const {
    tile_load<3>(values[group][0], 64);
    tile_dot<0, 6, 3, false, false>();
    tile_dot<1, 7, 3, true, false>();
    tile_load<4>(values[group][1], 64);
    tile_dot<1, 6, 4, false, true>();
    tile_dot<2, 7, 4, true, true>();
  }
};

/// Integers as f16: one product, whose f32 sums are exact. kSteps as there.
template <int kStepsOfRow>
struct alignas(64) HalfTiles {
  static constexpr int kSteps = kStepsOfRow;
  static constexpr int kDims = 32;
  static constexpr int kSums = 1;
  static constexpr int kKeyGroups = kTileVectors;
  static constexpr int kGroups = 2;
  static constexpr int kSlotSteps = kPageTokens / kDims;

  Tile queries[kMostBlocks][kSteps];
  Tile keys[kTileVectors][kSteps];                     // 16 keys each
  Tile values[(kSteps * kDims / 16 + 1)][kSlotSteps];  // 16 dimensions each, and room to read on after an odd number of them
  Tile weights[kMostBlocks][kSlotSteps];

  static F32x16 whole_sum(const TileSums (&sums)[kSums], int row) { return as_f32(load(sums[0][row])); }

  float put_query(int block, int row, const float* query, int32_t head_dim) {
    alignas(64) int16_t words[kSteps * kDims] = {};
    const float scale = quantize_to(kMaxWord, query, head_dim, words);
    for (int step = 0; step < kSteps; ++step)
      store_line(queries[block][step][row], f16_of_words(load_line(reinterpret_cast<const uint8_t*>(words + step * kDims))));
    return scale;
  }
  void put_weights(int block, int row, const I32x16 (&words)[kTileVectors]) {
    PHIAL_UNROLL
    for (int step = 0; step < kSlotSteps; ++step)
      store_line(weights[block][step][row], f16_of_words(packed_words(words[2 * step], words[2 * step + 1])));
  }

  void unpack_keys(const KeysI16& from) {
    for (int g = 0; g < kTileVectors; ++g) {
      uint8_t(*to)[64] = keys[g][0];  // a group's tiles follow each other
      const int32_t* line = from.pairs(g, 0);
      for (int32_t pair = 0; pair < from.head_dim / 2; ++pair) store_line(to[pair], f16_of_words(load(line + pair * 16)));
    }
  }
  void unpack_values(const ValuesI16& from) {
    const int32_t* lines = from.pairs(0, 0);
    for (int j = 0; j < kPageTokens / 2; ++j, lines += from.head_dim) {
      const int line = j % 8 / 2 * 4 + j / 8 % 2 * 2 + j % 2;  // where packed_words puts slots 2 j and 2 j + 1
      auto* to = values[0] + j / 16;
      for (int g = 0; g < from.head_dim / 16; ++g, to += kSlotSteps) store_line((*to)[line], f16_of_words(load(lines + 16 * g)));
    }
  }

  /// As ByteTiles', all four groups of keys; sums in tiles 0 to 3.
  [[gnu::always_inline]] void multiply_scores(int block, int, int step) const {
    tile_load_once<4>(queries[block][step], 64);  // once a page
    tile_load<6>(keys[0][step], 64);
    tile_dot_f16<0, 4, 6>();
    tile_load<7>(keys[1][step], 64);
    tile_dot_f16<1, 4, 7>();
    tile_load<6>(keys[2][step], 64);
    tile_dot_f16<2, 4, 6>();
    tile_load<7>(keys[3][step], 64);
    tile_dot_f16<3, 4, 7>();
  }
  /// Two groups of dimensions; sums in tiles 0 and 1. Of the second of an odd number of groups nobody reads the sums.
  void begin_values(int block) const {
    static_assert(kSlotSteps == 2);
    tile_load<4>(weights[block][0], 64);
    tile_load<5>(weights[block][1], 64);
  }
  [[gnu::always_inline]] void multiply_values(int group) const {
    tile_load<6>(values[group][0], 64);
    tile_dot_f16<0, 4, 6>();
    tile_load<7>(values[group + 1][0], 64);
    tile_dot_f16<1, 4, 7>();
    tile_load<6>(values[group][1], 64);
    tile_dot_f16<0, 5, 6>();
    tile_load<7>(values[group + 1][1], 64);
    tile_dot_f16<1, 5, 7>();
  }
};

template <int n, int first = 0>
inline void zero_tiles() {
  if constexpr (first < n) tile_zero<first>(), zero_tiles<n, first + 1>();
}
/// Tiles 0, 1, ... to the sums of kGroups groups.
template <int kGroups, int kSums, int i = 0>
inline void store_tiles(TileSums (&sums)[kGroups][kSums]) {
  if constexpr (i < kGroups * kSums) {
    tile_store<i>(sums[i / kSums][i % kSums], 64);
    store_tiles<kGroups, kSums, i + 1>(sums);
  }
}
/// Sums of what was multiplied last and of what before that.
template <typename Tiles>
struct alignas(64) AttentionSums {
  TileSums scores[2][Tiles::kKeyGroups][Tiles::kSums];
  TileSums values[2][Tiles::kGroups][Tiles::kSums];
  BlockRows rows[2];  // of the block whose scores are made and of the one whose weights are
};

// Tile products and the float operations of other rows stand side by side in the code, as the processor looks only some
// hundred operations ahead. A page's blocks go through two loops, each of which needs few enough bytes to stay in the
// first-level cache: scores to weights (products of one block, scores of the one before, weights of the one before that), then
// values. Rows that no query fills are computed like the others and read by nobody.

struct PageScales {
  const float* k;  // of the slots
  SlotPowers v;
  const float* addend;
};
struct TileBlock {
  QueryBlock queries;
  int index;
};

// Of the scores of a block, a turn has the products of kKeyGroups groups of keys.

/// Rows [begin, end) of the scores of one turn, and the highest of each so far.
template <typename Tiles>
[[gnu::always_inline]] inline void finish_scores(const TileSums (&sums)[Tiles::kKeyGroups][Tiles::kSums], QueryBlock& block,
                                                 int turn, const PageScales& scales, int begin, int end) {
  BlockRows& rows = *block.rows;
  const int first = turn * Tiles::kKeyGroups * 16;
  F32x16 scale[Tiles::kKeyGroups], addend[Tiles::kKeyGroups];
  PHIAL_UNROLL
  for (int g = 0; g < Tiles::kKeyGroups; ++g)
    scale[g] = load(scales.k + first + 16 * g), addend[g] = load(scales.addend + first + 16 * g);
  for (int i = begin; i < end; ++i) {
    const F32x16 factor = splat(block.factor[i]);
    F32x16 highest = turn == 0 ? splat(-__builtin_inff()) : load(rows.top[i]);
    PHIAL_UNROLL
    for (int g = 0; g < Tiles::kKeyGroups; ++g) {
      const F32x16 x = fma(mul(Tiles::whole_sum(sums[g], i), scale[g]), factor, addend[g]);
      store(&rows.s[i][first + 16 * g], x);
      highest = max(highest, x);
    }
    store(rows.top[i], highest);
  }
}

/// What follows the scores of a block: the maxima.
inline void finish_block_scores(TileBlock& block, const AttentionTask& task, const PageScales& scales, RunningSoftmax& running) {
  QueryBlock& queries = block.queries;
  if (!queries.whole)
    row_tops<false>(queries, task.unit.cap, scales.v);
  else if (task.unit.cap > 0)
    row_tops<true>(queries, task.unit.cap, scales.v);
  move_max(queries, running, block.index * kTileQueries);
}

/// Integer weights of rows [begin, end).
template <bool whole, typename Tiles>
[[gnu::always_inline]] inline void put_weights(Tiles& tiles, TileBlock& block, const PageScales& scales, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    I32x16 words[kTileVectors];
    row_words<whole>(block.queries, i, scales.v, words);
    tiles.put_weights(block.index, i, words);
  }
}

/// The products of a turn of `block`, to sums.scores[to]; the scores of the turn before, `scored`'s; the weights of `weighed`.
/// Each may be missing.
template <typename Tiles>
[[gnu::always_inline]] inline void score_turn(Tiles& tiles, AttentionSums<Tiles>& sums, int to, const TileBlock* block, int turn,
                                              TileBlock* scored, int scored_turn, TileBlock* weighed, const PageScales& scales) {
  for (int step = 0; step < Tiles::kSteps; ++step) {
    const int begin = kTileRows * step / Tiles::kSteps, end = kTileRows * (step + 1) / Tiles::kSteps;
    if (block) {
      if (step == 0) zero_tiles<Tiles::kKeyGroups * Tiles::kSums>();
      tiles.multiply_scores(block->index, turn, step);
    }
    if (scored) finish_scores<Tiles>(sums.scores[1 - to], scored->queries, scored_turn, scales, begin, end);
    if (weighed)
      weighed->queries.whole ? put_weights<true>(tiles, *weighed, scales, begin, end)
                             : put_weights<false>(tiles, *weighed, scales, begin, end);
  }
  if (block) store_tiles(sums.scores[to]);
}

template <typename Tiles, typename Prefetch>
inline void page_scores(Tiles& tiles, AttentionSums<Tiles>& sums, TileBlock* const* blocks, int n, const AttentionTask& task,
                        const PageScales& scales, RunningSoftmax& running, Prefetch prefetch) {
  constexpr int kTurns = kTileVectors / Tiles::kKeyGroups;
  static_assert(kTurns <= 2);
  TileBlock *scored = nullptr, *weighed = nullptr;
  for (int at = 0; at <= n || weighed; ++at) {
    TileBlock* const block = at < n ? blocks[at] : nullptr;
    const int to = kTurns * at % 2;
    if (block) {
      block->queries.rows = &sums.rows[at % 2];
      prefetch(task.kv->k, at);
    }
    score_turn(tiles, sums, to, block, 0, scored, kTurns - 1, weighed, scales);
    if (weighed) move_sum(weighed->queries, running, weighed->index * kTileQueries);
    if (scored) finish_block_scores(*scored, task, scales, running);
    weighed = scored;
    if constexpr (kTurns == 2) {
      score_turn(tiles, sums, 1 - to, block, 1, block, 0, weighed, scales);
      if (weighed) move_sum(weighed->queries, running, weighed->index * kTileQueries);
      weighed = nullptr;
    }
    scored = block;
  }
}

/// Groups of 16 dimensions of a block: acc_d = acc_d * carry + part * sum of weight_j v_jd, as add_words has it.
template <int n, typename Tiles>
[[gnu::always_inline]] inline void finish_values(const TileSums (&sums)[Tiles::kGroups][Tiles::kSums], const QueryBlock& block,
                                                 float* acc, int64_t stride) {
  for (int i = 0; i < block.n; ++i, acc += stride) {
    const F32x16 part = splat(block.part[i]), carry = splat(block.carry[i]);
    PHIAL_UNROLL
    for (int g = 0; g < n; ++g) store(acc + 16 * g, fma(Tiles::whole_sum(sums[g], i), part, mul(load(acc + 16 * g), carry)));
  }
}

/// In runs of kGroups groups of dimensions, the products of one beside the float operations of the one before.
template <typename Tiles, typename Prefetch>
inline void page_values(Tiles& tiles, AttentionSums<Tiles>& sums, TileBlock* const* blocks, int n, const AttentionTask& task,
                        Prefetch prefetch) {
  constexpr int kGroups = Tiles::kGroups;
  const int n_groups = task.kv->head_dim / 16, n_runs = (n_groups + kGroups - 1) / kGroups;
  const TileBlock* before = nullptr;
  int before_run = 0, to = 0;
  const auto finish_before = [&] {
    const int first = before_run * kGroups;
    float* const acc = task.state.row(before->index * kTileQueries) + first * 16;
    n_groups - first >= kGroups ? finish_values<kGroups, Tiles>(sums.values[1 - to], before->queries, acc, task.state.stride())
                                : finish_values<1, Tiles>(sums.values[1 - to], before->queries, acc, task.state.stride());
  };
  static_assert(kGroups <= 2);
  for (int at = 0; at < n; ++at) {
    prefetch(task.kv->v, at);
    tiles.begin_values(blocks[at]->index);
    for (int run = 0; run < n_runs; ++run) {
      zero_tiles<kGroups * Tiles::kSums>();
      tiles.multiply_values(run * kGroups);
      if (before) finish_before();
      store_tiles(sums.values[to]);
      before = blocks[at], before_run = run, to = 1 - to;
    }
  }
  finish_before();
}

template <typename Tiles>
inline void attention_tiles(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  const int32_t head_dim = kv.head_dim;
  const uint64_t page_bytes = kv_page_bytes(DType::i16, kv.n_kv_heads, head_dim);
  const int64_t head_at = k_index(head_dim, task.kv_head, 0, 0), scales_at = slot_scales_at(kv, task.kv_head);
  const int n_blocks = (task.n_queries + kTileQueries - 1) / kTileQueries;
  Tiles tiles;
  AttentionSums<Tiles> sums;
  TileBlock blocks[kMostBlocks];
  float factor[kMaxQueries] = {};
  begin_merge(task.state, task.n_queries);
  RunningSoftmax running(task.n_queries);
  for (int b = 0; b < n_blocks; ++b) {
    const int row = b * kTileQueries;
    blocks[b].index = b;
    blocks[b].queries.factor = factor + row;
    blocks[b].queries.n = task.n_queries - row < kTileQueries ? task.n_queries - row : kTileQueries;
    __builtin_memset(tiles.queries[b], 0, sizeof tiles.queries[b]);
    for (int i = 0; i < blocks[b].queries.n; ++i)
      factor[row + i] = tiles.put_query(b, i, task.queries[row + i], head_dim) * task.unit.factor;
  }
  // Rows of keys that no dimension fills meet zeros of the queries.
  if (head_dim % Tiles::kDims != 0) __builtin_memset(tiles.keys, 0, sizeof tiles.keys);

  TileBlock* seeing[kMostBlocks];
  PageScales scales;
  scales.addend = score_addend(scales.v, task.unit);
  tile_configure<64>();
  for (int32_t tile = task.first_tile; tile < task.end_tile; ++tile) {
    const std::byte* k_page = kv.k + task.pages[tile] * page_bytes;
    const std::byte* v_page = kv.v + task.pages[tile] * page_bytes;
    int n = 0, first, end;
    for (int b = 0; b < n_blocks; ++b)
      if (set_visible(blocks[b].queries, task.positions + b * kTileQueries, tile, task.window, first, end))
        seeing[n++] = &blocks[b];
    if (n == 0) continue;
    // Of the next page a part is asked for beside each block: all at once would wait for the lines.
    const HeadLines lines(DType::i16, head_at, head_dim, n);
    const auto prefetch = [&](const std::byte* pages, int i) {
      if (tile + 1 >= task.end_tile) return;
      const std::byte* const page = pages + task.pages[tile + 1] * page_bytes;
      lines.prefetch(page, i);
      if (i == 0)
        for (int slot = 0; slot < kTile; slot += 16) __builtin_prefetch(page + scales_at + slot * 4, 0, 2);
    };
    scales.k = reinterpret_cast<const float*>(k_page + scales_at);
    scales.v.set(reinterpret_cast<const float*>(v_page + scales_at));
    tiles.unpack_keys({reinterpret_cast<const int16_t*>(k_page) + head_at, scales.k, head_dim});
    tiles.unpack_values({reinterpret_cast<const int16_t*>(v_page) + head_at, head_dim});
    page_scores(tiles, sums, seeing, n, task, scales, running, prefetch);
    page_values(tiles, sums, seeing, n, task, prefetch);
  }
  tile_release();
  running.save(task.state, task.n_queries);
}

/// Heads of n tiles' dimensions.
template <template <int> class Tiles, int n = 1>
inline void attention_of_steps(const AttentionTask& task) {
  constexpr int32_t dims = n * Tiles<n>::kDims;
  if constexpr (dims < kTileMostDims)
    if (task.kv->head_dim > dims) return attention_of_steps<Tiles, n + 1>(task);
  attention_tiles<Tiles<n>>(task);
}

template <template <int> class Tiles>
inline void attention_split_tiles(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  if (kv.k_dtype != DType::i16 || kv.v_dtype != DType::i16 || task.n_queries < kTileLeastQueries || kv.head_dim % 16 != 0 ||
      kv.head_dim > kTileMostDims)
    return few_queries(task);
  attention_of_steps<Tiles>(task);
}

/// The operations of another table, attention of many queries on tiles.
template <template <int> class Tiles>
OpKernels tile_op_kernels(OpKernels ops) {
  ops.attention_split = attention_split_tiles<Tiles>;
  return ops;
}
