// Attention over an i16 cache on AMX tiles, for many queries: the 13-bit integers as two planes of bytes (low unsigned, high
// signed), four products, the same exact sums as those of words. Four bytes of a tile's row lie in the order 0, 2, 1, 3 of the
// values, which puts two lines of pairs together with one select a plane; queries and weights are put in that order too.

constexpr int kTileQueries = kTileRows;  // of a block
constexpr int kTileLeastQueries = 12;    // below, words are faster
constexpr int32_t kTileMostDims = 256;   // of a head
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

/// What one task keeps in tiles' form: the queries, and one head of a page. Tiles lie one behind the other as the head's length
/// asks for: at fixed places the short heads would crowd one half of the first-level cache.
struct alignas(64) AttentionTiles {
  using Tile = uint8_t[kTileRows][64];
  static constexpr int kMostSteps = kTileMostDims / kTileDims;
  Tile queries[kMaxQueries / kTileQueries * 2 * kMostSteps];
  Tile keys[kTileVectors * 2 * kMostSteps];
  Tile values[kTileMostDims / 16 * 2];
  Tile weight[2];
  int32_t sum[2][3][kTileRows][16];  // low x low, the mixed products, high x high; of this part and of the one before
  int n_steps;                       // tiles of a row of queries or keys

  Tile& query(int block, int plane, int step) { return queries[(block * 2 + plane) * n_steps + step]; }
  Tile& key(int group, int plane, int step) { return keys[(group * 2 + plane) * n_steps + step]; }  // 16 keys
  Tile& value(int group, int plane) { return values[group * 2 + plane]; }                           // 16 dimensions
};

/// Sums of products of planes a (in kActTile and the one behind) and b: tile 0 low x low, 1 mixed, 2 high x high.
inline void dot_planes(const uint8_t* b_low, const uint8_t* b_high) {
  tile_load<kWeightTile>(b_low, 64);
  tile_load<kWeightTile + 1>(b_high, 64);
  tile_dot<0, kActTile, kWeightTile, false, false>();
  tile_dot<1, kActTile, kWeightTile + 1, false, true>();
  tile_dot<1, kActTile + 1, kWeightTile, true, false>();
  tile_dot<2, kActTile + 1, kWeightTile + 1, true, true>();
}
inline void zero_planes() { tile_zero<0>(), tile_zero<1>(), tile_zero<2>(); }
inline void store_planes(int32_t (&sum)[3][kTileRows][16]) {
  tile_store<0>(sum[0], 64);
  tile_store<1>(sum[1], 64);
  tile_store<2>(sum[2], 64);
}
inline I32x16 whole_sum(const int32_t (&sum)[3][kTileRows][16], int row) {
  return add(load(sum[0][row]), add(shift_left<8>(load(sum[1][row])), shift_left<16>(load(sum[2][row]))));
}

/// s[i][16 g ...] = q_i . k, as block_scores of words has it.
inline void tile_scores(QueryBlock& block, AttentionTiles& tiles, int b, const KeysI16& keys) {
  for (int32_t begin = 0; begin < keys.head_dim; begin += kWordDims) {
    const int32_t end = begin + kWordDims < keys.head_dim ? begin + kWordDims : keys.head_dim;
    const bool last = end == keys.head_dim;
    const auto finish = [&](int g) {
      const F32x16 scale = load(keys.scales + g * 16);
      for (int i = 0; i < block.n; ++i) {
        float* const to = &block.s[i][g * 16];
        F32x16 value = to_f32(whole_sum(tiles.sum[g % 2], i));
        if (begin > 0) value = add(load(to), value);
        store(to, last ? mul(mul(value, scale), splat(block.query_scale[i])) : value);
      }
    };
    for (int g = 0; g < kTileVectors; ++g) {
      zero_planes();
      for (int step = begin / kTileDims; step * kTileDims < end; ++step) {
        tile_load<kActTile>(tiles.query(b, 0, step), 64);
        tile_load<kActTile + 1>(tiles.query(b, 1, step), 64);
        dot_planes(tiles.key(g, 0, step)[0], tiles.key(g, 1, step)[0]);
      }
      store_planes(tiles.sum[g % 2]);
      if (g > 0) finish(g - 1);
    }
    finish(kTileVectors - 1);
  }
}

/// acc_d = acc_d * carry + scale * sum of weight_j v_jd, as add_words has it.
inline void tile_values(const QueryBlock& block, AttentionTiles& tiles, int32_t head_dim, float* acc_row, int64_t stride) {
  const auto finish = [&](int g) {
    for (int i = 0; i < block.n; ++i) {
      float* const acc = acc_row + i * stride + g * 16;
      store(acc,
            fma(to_f32(whole_sum(tiles.sum[g % 2], i)), splat(block.weight_scale[i]), mul(load(acc), splat(block.carry[i]))));
    }
  };
  tile_load<kActTile>(tiles.weight[0], 64);
  tile_load<kActTile + 1>(tiles.weight[1], 64);
  const int n_groups = head_dim / 16;
  for (int g = 0; g < n_groups; ++g) {
    zero_planes();
    dot_planes(tiles.value(g, 0)[0], tiles.value(g, 1)[0]);
    store_planes(tiles.sum[g % 2]);
    if (g > 0) finish(g - 1);
  }
  finish(n_groups - 1);
}

inline void attention_split_tiles(const AttentionTask& task) {
  const KvLayer& kv = *task.kv;
  const int32_t head_dim = kv.head_dim;
  if (kv.k_dtype != DType::i16 || kv.v_dtype != DType::i16 || task.n_queries < kTileLeastQueries || head_dim % 16 != 0 ||
      head_dim > kTileMostDims)
    return few_queries(task);
  const uint64_t page_bytes = kv_page_bytes(DType::i16, kv.n_kv_heads, head_dim);
  const int64_t head_at = k_index(head_dim, task.kv_head, 0, 0), scales_at = slot_scales_at(kv, task.kv_head);
  const int n_steps = (head_dim + kTileDims - 1) / kTileDims;
  const int n_blocks = (task.n_queries + kTileQueries - 1) / kTileQueries;
  AttentionTiles tiles;
  tiles.n_steps = n_steps;
  float query_scale[kMaxQueries];
  QueryBlock block;

  begin_merge(task.state, task.n_queries);
  for (int b = 0; b < n_blocks; ++b) {
    __builtin_memset(tiles.query(b, 0, 0), 0, static_cast<size_t>(2 * n_steps * kTileBytes));
    for (int i = b * kTileQueries; i < task.n_queries && i < (b + 1) * kTileQueries; ++i)
      query_scale[i] = quantize_to(kMaxWord, task.queries[i], head_dim,
                                   BytePlanes{tiles.query(b, 0, 0)[i % kTileQueries], tiles.query(b, 1, 0)[i % kTileQueries]});
  }
  // Rows of keys that no dimension fills meet zeros of the queries.
  if (head_dim % kTileDims != 0) __builtin_memset(tiles.keys, 0, sizeof tiles.keys);
  // Rows of weights that no query fills give sums that nobody reads.
  __builtin_memset(tiles.weight, 0, sizeof tiles.weight);

  tile_configure<64>();
  for (int32_t tile = task.first_tile; tile < task.end_tile; ++tile) {
    const std::byte* k_page = kv.k + task.pages[tile] * page_bytes;
    const std::byte* v_page = kv.v + task.pages[tile] * page_bytes;
    const KeysI16 keys{reinterpret_cast<const int16_t*>(k_page) + head_at, reinterpret_cast<const float*>(k_page + scales_at),
                       head_dim};
    const ValuesI16 values{reinterpret_cast<const int16_t*>(v_page) + head_at, reinterpret_cast<const float*>(v_page + scales_at),
                           head_dim};
    const bool has_next = tile + 1 < task.end_tile;
    bool unpacked = false;
    for (int b = 0; b < n_blocks; ++b) {
      const int row = b * kTileQueries;
      if (has_next) prefetch_head(kv.k + task.pages[tile + 1] * page_bytes, head_at, head_dim, DType::i16, b, n_blocks);
      block.query_scale = query_scale + row;
      block.n = task.n_queries - row < kTileQueries ? task.n_queries - row : kTileQueries;
      int first, end;
      if (set_visible(block, task.positions + row, tile, task.window, first, end)) {
        if (!unpacked) {
          for (int g = 0; g < kTileVectors; ++g)
            for (int32_t d = 0; d < head_dim; d += 4) {
              const int step = d / kTileDims, line = d % kTileDims / 4;
              split_pairs(keys.pairs(g, d), keys.pairs(g, d + 2), tiles.key(g, 0, step)[line], tiles.key(g, 1, step)[line]);
            }
          for (int j = 0; j < kPageTokens; j += 4) {
            const int line = j % 16 + j / 16;  // where byte_lines puts slots j to j + 3
            for (int32_t d = 0; d < head_dim; d += 16)
              split_pairs(values.pairs(j, d), values.pairs(j + 2, d), tiles.value(d / 16, 0)[line], tiles.value(d / 16, 1)[line]);
          }
          unpacked = true;
        }
        tile_scores(block, tiles, b, keys);
        block_weights(block, task, row, values.scales, [&tiles](int i, const I32x16(&words)[kTileVectors]) {
          I32x16 low, high;
          byte_lines(words, low, high);
          store_line(tiles.weight[0][i], low);
          store_line(tiles.weight[1][i], high);
        });
        if (has_next) prefetch_head(kv.v + task.pages[tile + 1] * page_bytes, head_at, head_dim, DType::i16, b, n_blocks);
        tile_values(block, tiles, head_dim, task.state.row(row), task.state.stride());
      }
    }
  }
  tile_release();
}
