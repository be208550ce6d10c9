// Attention over an i16 cache on AMX tiles, for many queries: the 13-bit integers as two planes of bytes (low unsigned, high
// signed), four products, the same exact sums as those of words. Four bytes of a tile's row lie in the order 0, 2, 1, 3 of the
// values, which puts two lines of pairs together with one select a plane; queries and weights are put in that order too.

constexpr int kTileQueries = kTileRows;       // of a block
constexpr int kTileLeastQueries = 12;         // below, words are faster
constexpr int32_t kTileMostDims = kWordDims;  // of a head: one run of integers
constexpr int kTileDims = 64, kTileBytes = 1024;
static_assert(kPageTokens == kTileDims);  // a page is one tile of keys in the products with values

/// Sixteen integers of a row of a tile, in two planes; `at` counts values.
struct BytePlanes {
  uint8_t *low, *high;
  BytePlanes operator+(int64_t at) const {
    const int64_t to = at / kTileDims * kTileBytes + at % kTileDims;
    return {low + to, high + to};
  }
};
inline void store_integers(BytePlanes to, I32x16 v) {
  v = lanes_0213(v);
  store_i8(reinterpret_cast<int8_t*>(to.low), v);
  store_i8(reinterpret_cast<int8_t*>(to.high), shift_right<8>(v));
}
/// Two lines of pairs of words to a line of each plane.
inline void split_pairs(const int32_t* first, const int32_t* second, uint8_t* low, uint8_t* high) {
  const I32x16 low_bytes = splat(0x00FF00FF), a = load(first), b = load(second);
  store_line(low, bits_select(low_bytes, a, shift_left<8>(b)));
  store_line(high, bits_select(low_bytes, shift_right_bits<8>(a), b));
}

using Tile = uint8_t[kTileRows][64];
using PlaneSums = int32_t[3][kTileRows][16];  // low x low, the mixed products, high x high

/// What one task keeps in tiles' form: the queries, and one head of a page. kSteps: tiles of a row of queries or keys.
template <int kSteps>
struct alignas(64) AttentionTiles {
  Tile queries[kMaxQueries / kTileQueries][2][kSteps];
  Tile keys[kTileVectors][2][kSteps];       // 16 keys each
  Tile values[kSteps * kTileDims / 16][2];  // 16 dimensions each
  Tile weights[2][2];                       // of a block and of the one before
  PlaneSums score_sums[2][2];               // of a pair of groups of keys and of the one before
  PlaneSums value_sums[2];                  // of a group of dimensions and of the one before
};

template <int first>
inline void zero_planes() {
  tile_zero<first>(), tile_zero<first + 1>(), tile_zero<first + 2>();
}
template <int first>
inline void store_planes(PlaneSums& sums) {
  tile_store<first>(sums[0], 64);
  tile_store<first + 1>(sums[1], 64);
  tile_store<first + 2>(sums[2], 64);
}
inline F32x16 whole_sum(const PlaneSums& sums, int row) {
  const I32x16 upper = add(load(sums[1][row]), times_256(load(sums[2][row])));
  return to_f32(add(load(sums[0][row]), times_256(upper)));
}

// Tile products and the float operations of other rows stand side by side in the code, as the processor looks only some
// hundred operations ahead. A page's blocks go through two loops, each of which needs few enough bytes to stay in the
// first-level cache: scores (products of two groups of keys beside what is left of the two before), then values (products of
// one block beside the softmax of the next). Rows that no query fills are computed like the others and read by nobody.

struct PageScales {
  const float *k, *v;  // of the slots
  SlotGains gains;
};
struct TileBlock {
  QueryBlock queries;
  int index;
};

/// A quarter of the products of a pair of groups of keys in one tile of dimensions: a plane of the queries with a plane of the
/// keys. Sums of the first group are in tiles 0 to 2, of the second in 3 to 5.
template <int kQuarter, int kSteps>
[[gnu::always_inline]] inline void score_products(const Tile (&query)[2][kSteps], const Tile (&a)[2][kSteps],
                                                  const Tile (&b)[2][kSteps], int step) {
  constexpr int kQuery = 6, kKey = 7, query_plane = kQuarter / 2, key_plane = kQuarter % 2, sum = query_plane + key_plane;
  if constexpr (key_plane == 0) tile_load<kQuery>(query[query_plane][step], 64);
  tile_load<kKey>(a[key_plane][step], 64);
  tile_dot<sum, kQuery, kKey, query_plane == 1, key_plane == 1>();
  tile_load<kKey>(b[key_plane][step], 64);
  tile_dot<3 + sum, kQuery, kKey, query_plane == 1, key_plane == 1>();
}

/// Two rows of the scores with the keys of one pair of groups, and the highest of each so far.
[[gnu::always_inline]] inline void finish_scores(const PlaneSums (&sums)[2], QueryBlock& block, int pair, const float* scales,
                                                 int row) {
  const F32x16 scale[2] = {load(scales + 32 * pair), load(scales + 32 * pair + 16)};
  PHIAL_UNROLL
  for (int i = row; i < row + 2; ++i) {
    const F32x16 factor = splat(block.factor[i]);
    const F32x16 x = mul(mul(whole_sum(sums[0], i), scale[0]), factor), y = mul(mul(whole_sum(sums[1], i), scale[1]), factor);
    store(&block.s[i][32 * pair], x);
    store(&block.s[i][32 * pair + 16], y);
    const F32x16 highest = max(x, y);
    store(block.row_top[i], pair == 0 ? highest : max(load(block.row_top[i]), highest));
  }
}

/// What follows the scores of a block: maxima, and the units of its weights.
inline void finish_block_scores(TileBlock& block, const AttentionTask& task, const PageScales& scales, RunningSoftmax& running) {
  QueryBlock& queries = block.queries;
  if (!queries.whole)
    row_tops<false>(queries, task.unit.cap);
  else if (task.unit.cap > 0)
    row_tops<true>(queries, task.unit.cap);
  move_max(queries, running, block.index * kTileQueries);
  queries.whole ? set_weight_units<true>(queries, scales.v, scales.gains)
                : set_weight_units<false>(queries, scales.v, scales.gains);
}

/// In eight pieces, products of a pair of groups of keys (has_block) and what is left of the pair before (has_before).
template <bool has_block, bool has_before, int kPiece = 0, int kSteps>
[[gnu::always_inline]] inline void score_pieces(AttentionTiles<kSteps>& tiles, const TileBlock* block, int pair,
                                                TileBlock* before, const float* scales) {
  if constexpr (kPiece < 8) {
    constexpr int quarter = kPiece * kSteps / 2;  // of all steps
    if constexpr (has_block && kPiece * kSteps % 2 == 0)
      score_products<quarter % 4>(tiles.queries[block->index], tiles.keys[2 * pair], tiles.keys[2 * pair + 1], quarter / 4);
    if constexpr (has_before) finish_scores(tiles.score_sums[1 - pair], before->queries, 1 - pair, scales, 2 * kPiece);
    score_pieces<has_block, has_before, kPiece + 1>(tiles, block, pair, before, scales);
  }
}
template <bool has_block, bool has_before, int kSteps>
[[gnu::always_inline]] inline void score_pair(AttentionTiles<kSteps>& tiles, const TileBlock* block, int pair, TileBlock* before,
                                              const float* scales) {
  if constexpr (has_block) zero_planes<0>(), zero_planes<3>();
  score_pieces<has_block, has_before>(tiles, block, pair, before, scales);
  if constexpr (has_block) store_planes<0>(tiles.score_sums[pair][0]), store_planes<3>(tiles.score_sums[pair][1]);
}

template <int kSteps, typename Prefetch>
inline void page_scores(AttentionTiles<kSteps>& tiles, TileBlock* const* blocks, int n, const AttentionTask& task,
                        const PageScales& scales, RunningSoftmax& running, Prefetch prefetch) {
  TileBlock* before = nullptr;
  for (int at = 0; at < n; ++at) {
    TileBlock* const block = blocks[at];
    prefetch(task.kv->k, at, n);
    before ? score_pair<true, true>(tiles, block, 0, before, scales.k)
           : score_pair<true, false>(tiles, block, 0, before, scales.k);
    if (before) finish_block_scores(*before, task, scales, running);
    score_pair<true, true>(tiles, block, 1, block, scales.k);
    before = block;
  }
  score_pair<false, true>(tiles, before, 0, before, scales.k);
  finish_block_scores(*before, task, scales, running);
}

/// Integer weights of rows [begin, end).
template <bool whole>
[[gnu::always_inline]] inline void put_weights(Tile (&planes)[2], QueryBlock& block, const PageScales& scales, int begin,
                                               int end) {
  for (int i = begin; i < end; ++i) {
    I32x16 words[kTileVectors], low, high;
    row_words<whole>(block, i, scales.v, scales.gains, words);
    byte_lines(words, low, high);
    store_line(planes[0][i], low);
    store_line(planes[1][i], high);
  }
}

/// 16 dimensions of a block: acc_d = acc_d * carry + scale * sum of weight_j v_jd, as add_words has it.
[[gnu::always_inline]] inline void finish_values(const PlaneSums& sums, const QueryBlock& block, float* acc, int64_t stride) {
  for (int i = 0; i < block.n; ++i, acc += stride)
    store(acc, fma(whole_sum(sums, i), splat(block.weight_scale[i]), mul(load(acc), splat(block.carry[i]))));
}

/// has_block: the weights of one block; has_before: the products of the one before.
template <bool has_block, bool has_before, int kSteps>
[[gnu::always_inline]] inline void block_values(AttentionTiles<kSteps>& tiles, TileBlock* block, const TileBlock* before,
                                                int turn, const AttentionTask& task, const PageScales& scales) {
  const int n_groups = task.kv->head_dim / 16;
  const int64_t stride = task.state.stride();
  float* const acc = has_before ? task.state.row(before->index * kTileQueries) : nullptr;
  constexpr int kWeights = 6;
  if constexpr (has_before) {
    tile_load<kWeights>(tiles.weights[1 - turn][0], 64);
    tile_load<kWeights + 1>(tiles.weights[1 - turn][1], 64);
  }
  for (int g = 0; g < n_groups; ++g) {
    if constexpr (has_before) {
      zero_planes<0>();
      tile_load<3>(tiles.values[g][0], 64);
      tile_dot<0, kWeights, 3, false, false>();
      tile_dot<1, kWeights + 1, 3, true, false>();
      tile_load<4>(tiles.values[g][1], 64);
      tile_dot<1, kWeights, 4, false, true>();
      tile_dot<2, kWeights + 1, 4, true, true>();
    }
    if constexpr (has_block) {
      const int begin = kTileRows * g / n_groups, end = kTileRows * (g + 1) / n_groups;
      block->queries.whole ? put_weights<true>(tiles.weights[turn], block->queries, scales, begin, end)
                           : put_weights<false>(tiles.weights[turn], block->queries, scales, begin, end);
    }
    if constexpr (has_before) {
      if (g > 0) finish_values(tiles.value_sums[1 - g % 2], before->queries, acc + (g - 1) * 16, stride);
      store_planes<0>(tiles.value_sums[g % 2]);
    }
  }
  if constexpr (has_before)
    finish_values(tiles.value_sums[(n_groups - 1) % 2], before->queries, acc + (n_groups - 1) * 16, stride);
}

template <int kSteps, typename Prefetch>
inline void page_values(AttentionTiles<kSteps>& tiles, TileBlock* const* blocks, int n, const AttentionTask& task,
                        const PageScales& scales, RunningSoftmax& running, Prefetch prefetch) {
  for (int at = 0; at < n; ++at) {
    TileBlock* const block = blocks[at];
    prefetch(task.kv->v, at, n);
    at > 0 ? block_values<true, true>(tiles, block, blocks[at - 1], at % 2, task, scales)
           : block_values<true, false>(tiles, block, nullptr, 0, task, scales);
    move_sum(block->queries, running, block->index * kTileQueries);
  }
  block_values<false, true>(tiles, nullptr, blocks[n - 1], n % 2, task, scales);
}

template <int kSteps>
inline void unpack_keys(AttentionTiles<kSteps>& tiles, const KeysI16& keys) {
  for (int g = 0; g < kTileVectors; ++g)
    for (int32_t d = 0; d < keys.head_dim; d += 4) {
      const int step = d / kTileDims, line = d % kTileDims / 4;
      split_pairs(keys.pairs(g, d), keys.pairs(g, d + 2), tiles.keys[g][0][step][line], tiles.keys[g][1][step][line]);
    }
}
template <int kSteps>
inline void unpack_values(AttentionTiles<kSteps>& tiles, const ValuesI16& values) {
  for (int j = 0; j < kPageTokens / 2; j += 2) {
    const int line = j % 16 / 4 * 4 + j / 16 * 2 + j % 4 / 2;  // where byte_lines puts slots j, j + 32, j + 1, j + 33
    for (int32_t d = 0; d < values.head_dim; d += 16)
      split_pairs(values.pairs(j, d), values.pairs(j + 32, d), tiles.values[d / 16][0][line], tiles.values[d / 16][1][line]);
  }
}

template <int kSteps>
inline void attention_tiles(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  const int32_t head_dim = kv.head_dim;
  const uint64_t page_bytes = kv_page_bytes(DType::i16, kv.n_kv_heads, head_dim);
  const int64_t head_at = k_index(head_dim, task.kv_head, 0, 0), scales_at = slot_scales_at(kv, task.kv_head);
  const int n_blocks = (task.n_queries + kTileQueries - 1) / kTileQueries;
  AttentionTiles<kSteps> tiles;
  TileBlock blocks[kMaxQueries / kTileQueries];
  float factor[kMaxQueries] = {};
  begin_merge(task.state, task.n_queries);
  RunningSoftmax running(task.n_queries);
  for (int b = 0; b < n_blocks; ++b) {
    const int row = b * kTileQueries;
    blocks[b].index = b;
    blocks[b].queries.factor = factor + row;
    blocks[b].queries.n = task.n_queries - row < kTileQueries ? task.n_queries - row : kTileQueries;
    auto& queries = tiles.queries[b];
    __builtin_memset(queries, 0, sizeof queries);
    for (int i = 0; i < blocks[b].queries.n; ++i)
      factor[row + i] = quantize_to(kMaxWord, task.queries[row + i], head_dim, BytePlanes{queries[0][0][i], queries[1][0][i]}) *
                        task.unit.factor;
  }
  // Rows of keys that no dimension fills meet zeros of the queries.
  if (head_dim % kTileDims != 0) __builtin_memset(tiles.keys, 0, sizeof tiles.keys);

  TileBlock* seeing[kMaxQueries / kTileQueries];
  PageScales scales;
  tile_configure<64>();
  for (int32_t tile = task.first_tile; tile < task.end_tile; ++tile) {
    const std::byte* k_page = kv.k + task.pages[tile] * page_bytes;
    const std::byte* v_page = kv.v + task.pages[tile] * page_bytes;
    // Of the next page a part is asked for beside each block: all at once would wait for the lines.
    const auto prefetch = [&](const std::byte* pages, int i, int n) {
      if (tile + 1 < task.end_tile) prefetch_head(pages + task.pages[tile + 1] * page_bytes, head_at, head_dim, DType::i16, i, n);
    };
    int n = 0, first, end;
    for (int b = 0; b < n_blocks; ++b)
      if (set_visible(blocks[b].queries, task.positions + b * kTileQueries, tile, task.window, first, end))
        seeing[n++] = &blocks[b];
    if (n == 0) continue;
    scales.k = reinterpret_cast<const float*>(k_page + scales_at);
    scales.v = reinterpret_cast<const float*>(v_page + scales_at);
    scales.gains.set(scales.v);
    unpack_keys(tiles, {reinterpret_cast<const int16_t*>(k_page) + head_at, scales.k, head_dim});
    unpack_values(tiles, {reinterpret_cast<const int16_t*>(v_page) + head_at, scales.v, head_dim});
    page_scores(tiles, seeing, n, task, scales, running, prefetch);
    page_values(tiles, seeing, n, task, scales, running, prefetch);
  }
  tile_release();
  running.save(task.state, task.n_queries);
}

inline void attention_split_tiles(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  if (kv.k_dtype != DType::i16 || kv.v_dtype != DType::i16 || task.n_queries < kTileLeastQueries || kv.head_dim % 16 != 0 ||
      kv.head_dim > kTileMostDims)
    return few_queries(task);
  kv.head_dim <= kTileDims ? attention_tiles<1>(task) : attention_tiles<2>(task);
}
