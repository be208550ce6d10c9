// Matrix products of many tokens on AMX tiles: 16 tokens x 16 rows x 64 bytes of k an instruction, written against
// tiles_amx.h or its plain twin. The lines of a panel (16 rows x 4 k) are the tile of weights as they lie there. All
// integers are exact, so the bits are those of every other kernel:
// - K-quants: the sub-block's scale is multiplied into the levels when a panel is unpacked. What does not fit a byte then
//   (Q4_K 10 bits, Q5_K 11, Q6_K 14 signed) lies in two planes of bytes, whose sums come together as low + (high << 8).
//   Where tiles multiply f16, integers of 11 bits are f16 as they are, and f32 sums of them up to 2^24 are exact: one sum.
// - A float scale per 32 (Q8_0, Q4_0...): tiles of half the length. By count 16 clocks of products and about 32 of vector
//   work for 16 x 16 x 32, which run side by side; the AVX-512 kernel takes 64 and 24 for the same, one after the other.
// - bf16, and f16 where tiles multiply it: the activations are rounded likewise; one token goes the same way as many, as the
//   roundings are the tiles' own.

/// One token's place in a record of 16.
struct TileToken {
  const std::byte* scales;
  const std::byte* aux;
  TileToken(const ActLayout& layout, const std::byte* record, int64_t token)
      : scales(record + layout.value_bytes() * kTileRows + token * 4), aux(scales + kChunkK / layout.group * kTileRows * 4) {}
  // 64-bit indexes: their constant parts become displacements.
  F32x16 scale(int64_t g, int64_t t) const { return as_f32(splat_dword(scales + (g * kTileRows + t) * 4)); }
  I32x16 aux_dword(int64_t i, int64_t t) const { return splat_dword(aux + (i * kTileRows + t) * 4); }
};

/// Products are fast here, third-level caches slow: one chunk of activations serves many rows, whose sums take half of 2 MiB.
constexpr int kTileRunBlocks = kMaxRunBlocks;

constexpr ActLayout tile_layout(ActLayout layout) {
  layout.run = 64;
  layout.tile_rows = kTileRows;
  return layout;
}

// Levels times sub-block scales, in two planes.
template <int kSub_, bool kMin_>
struct alignas(64) PlanesPanel {
  static constexpr int kSub = kSub_;
  static constexpr bool kMin = kMin_;
  uint8_t q[2][kChunkK / 4][64];
  int32_t min_pairs[kMin ? kChunkK / kSub / 2 : 1][16];
  float d[16], m[16];
};

template <class Levels, class Panel>
inline void copy_block_scales(const Levels& levels, Panel& out) {
  if constexpr (Panel::kMin) {
    store(out.m, load(levels.m));
    for (int i = 0; i < kChunkK / Panel::kSub / 2; ++i) store(out.min_pairs[i], load(levels.min_pairs[i]));
  }
  store(out.d, load(levels.d));
}

template <int offset, int kSub, bool kMin>
inline void fold_scales(const SubBlockPanel<kSub, kMin>& levels, PlanesPanel<kSub, kMin>& out) {
  const I32x16 low_bytes = splat(0x00FF00FF);
  const I32x16 minus_offset = splat(((-offset & 0xFFFF) << 16) | (-offset & 0xFFFF));
  for (int j = 0; j < kChunkK / kSub; ++j) {
    const I32x16 words = twice(load(levels.scale[j]));
    const I32x16 base = mul_words(words, minus_offset);
    const auto scaled = [&](I32x16 q) {
      const I32x16 value = mul_words(bits_and(q, low_bytes), words);
      return offset == 0 ? value : add_words(value, base);
    };
    PHIAL_UNROLL
    for (int i = 0; i < kSub / 4; ++i) {
      const int line = j * (kSub / 4) + i;
      const I32x16 q = load_line(levels.q[line]), even = scaled(q), odd = scaled(shift_right_bits<8>(q));
      store_line(out.q[0][line], bits_select(low_bytes, even, shift_left<8>(odd)));
      store_line(out.q[1][line], bits_select(low_bytes, shift_right_bits<8>(even), odd));
    }
  }
  copy_block_scales(levels, out);
}

// The same as f16. A line has 16 rows x 2 k: of four k first 0 and 2, then 1 and 3.
template <int kSub_, bool kMin_>
struct alignas(64) HalvesPanel {
  static constexpr int kSub = kSub_;
  static constexpr bool kMin = kMin_;
  uint8_t q[kChunkK / 2][64];
  int32_t min_pairs[kMin ? kChunkK / kSub / 2 : 1][16];
  float d[16], m[16];
};

template <int kSub, bool kMin>
inline void fold_scales(const SubBlockPanel<kSub, kMin>& levels, HalvesPanel<kSub, kMin>& out) {
  const I32x16 low_bytes = splat(0x00FF00FF);
  for (int j = 0; j < kChunkK / kSub; ++j) {
    const I32x16 words = twice(load(levels.scale[j]));
    PHIAL_UNROLL
    for (int i = 0; i < kSub / 4; ++i) {
      const int line = j * (kSub / 4) + i;
      const I32x16 q = load_line(levels.q[line]);
      store_line(out.q[2 * line], f16_of_words(mul_words(bits_and(q, low_bytes), words)));
      store_line(out.q[2 * line + 1], f16_of_words(mul_words(bits_and(shift_right_bits<8>(q), low_bytes), words)));
    }
  }
  copy_block_scales(levels, out);
}

// The sums of a unit of products wait in memory while the next unit is multiplied, and its float operations stand between the
// tile instructions of that one: both take about as long, and what tiles store can be loaded only after it has left the core's
// queue of stores.

template <int n_tiles>
struct alignas(64) UnitSums {
  int32_t tile[n_tiles][kTileRows][16];
};

// While tile instructions run, products, conversions and shifts of 512 bits have one vector port; additions and byte shuffles
// have the other as well. So sums of minimums become floats by a subtraction: counted from the bits of 1.5 * 2^23, and below
// 2^22, they are the low bits of that float.
inline F32x16 counted_to_f32(I32x16 sum) { return sub(as_f32(sum), splat(kRoundToInt)); }

/// What lies at p, or nothing.
inline F32x16 load_unless(bool is_empty, const float* p) { return load_first(p, is_empty ? 0 : 16); }

// What K-quants are made of on tiles: the f32 value of sums from tile `first` of memory on, and products, each with the weights
// of a tile instruction's k.
struct OneByte {
  static constexpr int kPlanes = 1, kTileK = 64;
  template <int sum, int act, int weights, int plane>
  static void dot() {
    tile_dot<sum, act, weights, true, false>();
  }
  template <int n>
  static F32x16 value(const UnitSums<n>& sums, int first, int row, I32x16 offset) {
    return to_f32(add(load(sums.tile[first][row]), offset));
  }
};
struct TwoBytes {
  static constexpr int kPlanes = 2, kTileK = 64;
  template <int sum, int act, int weights, int plane>
  static void dot() {
    tile_dot<sum, act, weights, true, plane == 1>();
  }
  template <int n>
  static F32x16 value(const UnitSums<n>& sums, int first, int row, I32x16) {
    return to_f32(add(load(sums.tile[first][row]), times_256(load(sums.tile[first + 1][row]))));
  }
};
struct Halves {
  static constexpr int kPlanes = 1, kTileK = 32;
  template <int sum, int act, int weights, int plane = 0>
  static void dot() {
    tile_dot_f16<sum, act, weights>();
  }
  template <int n>
  static F32x16 value(const UnitSums<n>& sums, int first, int row, I32x16) {
    return as_f32(load(sums.tile[first][row]));
  }
};

template <class Panel>
constexpr int min_pairs_of(int group) {
  if constexpr (Panel::kMin) return group / Panel::kSub / 2;
  return 0;
}

/// A unit of K-quants (or f16) is a group of R panels and T tiles of tokens. Its sums stay in tiles until the first products of
/// the next unit: sum (t R + r) kPlanes + plane. F: the format's traits; Numbers: one of those above.
template <class F, class Numbers, class Panel, int R, int T>
struct GroupUnits {
  static_assert(F::kGroup % Numbers::kTileK == 0);
  static constexpr int kPlanes = Numbers::kPlanes, kSums = T * R * kPlanes, kSteps = F::kGroup / Numbers::kTileK;
  static constexpr bool kScaled = requires(const Panel& panel) { panel.d; };
  static constexpr int kRecordBytes = kTileRows * F::kAct.token_bytes();
  static constexpr int kTokens = T * kTileRows, kPairs = min_pairs_of<Panel>(F::kGroup);
  static_assert(kSums <= kActTile && R * kPlanes <= 2 && T <= 2);
  using Sums = UnitSums<kSums>;

  struct Unit {
    const Panel* panel = nullptr;
    const std::byte* record = nullptr;
    float* acc = nullptr;
    int64_t stride = 0, part = 0;
    bool is_first = false;  // nothing in acc yet
  };

  /// What all tokens of a unit share. (Arrays of their own: inside a struct GCC leaves them in memory.)
  using Floats = F32x16[R];
  using Pairs = I32x16[R][kPairs + 1];
  [[gnu::always_inline]] static void load_rows(const Unit& unit, Floats& d, Floats& m, Pairs& pair) {
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) {
      if constexpr (kScaled) d[r] = load(unit.panel[r].d);
      if constexpr (Panel::kMin) {
        m[r] = load(unit.panel[r].m);
        PHIAL_UNROLL
        for (int i = 0; i < kPairs; ++i) pair[r][i] = load(unit.panel[r].min_pairs[unit.part * kPairs + i]);
      }
    }
  }

  /// The float operations of token t of a unit.
  [[gnu::always_inline]] static void finish(const Unit& unit, const Floats& d, const Floats& m, const Pairs& pair,
                                            const Sums& sums, int t) {
    const int tile = t / kTileRows, row = t % kTileRows;
    const TileToken token(F::kAct, unit.record + tile * kRecordBytes, row);
    const F32x16 scale = token.scale(unit.part, 0);
    I32x16 offset = zero_i32(), aux[kPairs + 1];
    if constexpr (F::kOffset != 0) offset = token.aux_dword(unit.part, 0);
    PHIAL_UNROLL
    for (int i = 0; i < kPairs; ++i) aux[i] = token.aux_dword(unit.part * kPairs + i, 0);
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) {
      F32x16 value = Numbers::value(sums, (tile * R + r) * kPlanes, row, offset);
      if constexpr (kScaled) value = mul(value, d[r]);
      if constexpr (Panel::kMin) {
        I32x16 mins = as_i32(splat(kRoundToInt));
        PHIAL_UNROLL
        for (int i = 0; i < kPairs; ++i) mins = dot_words(mins, pair[r][i], aux[i]);
        value = fma(counted_to_f32(mins), m[r], value);
      }
      float* const acc = unit.acc + t * unit.stride + r * 16;
      store(acc, fma(value, scale, load_unless(unit.is_first, acc)));
    }
  }

  /// The weights of a step.
  static const uint8_t* line(const Panel& panel, int plane, int64_t step) {
    if constexpr (kPlanes == 1)
      return panel.q[step * 16];
    else
      return panel.q[plane][step * 16];
  }

  template <int i = 0>
  static void store_sums(Sums& sums) {
    if constexpr (i < kSums) tile_store<i>(sums.tile[i], 64), store_sums<i + 1>(sums);
  }

  /// Two panels in one pass read the activations once, one panel at a time reads them again.
  template <int tile>
  static void load_act(const std::byte* from) {
    R == 2 ? tile_load_once<tile>(from, 64) : tile_load<tile>(from, 64);
  }

  /// Product i of step `step`; before it the tiles it needs are loaded, or the sum of the unit before is stored.
  template <int i, bool has_before>
  static void multiply_one(const Unit& unit, int64_t step, bool first, Sums& sums_before) {
    constexpr int t = i / (R * kPlanes), w = i % (R * kPlanes);
    const int64_t k = unit.part * kSteps + step;
    if constexpr (w == 0) load_act<kActTile + t>(unit.record + t * kRecordBytes + k * (kTileRows * 64));
    if constexpr (t == 0) tile_load<kWeightTile + w>(line(unit.panel[w / kPlanes], w % kPlanes, k), 64);
    if (first) {
      if constexpr (has_before) tile_store<i>(sums_before.tile[i], 64);
      tile_zero<i>();
    }
    Numbers::template dot<i, kActTile + t, kWeightTile + w, w % kPlanes>();
  }

  /// The products of a step, slot(i) after each, i counted over all of a unit.
  template <bool has_before, class Slot>
  [[gnu::always_inline]] static void multiply_step(const Unit& unit, int step, bool first, Sums& sums_before, Slot slot) {
    multiply_one<0, has_before>(unit, step, first, sums_before), slot(step * kSums);
    if constexpr (kSums > 1) multiply_one<1, has_before>(unit, step, first, sums_before), slot(step * kSums + 1);
    if constexpr (kSums > 2) multiply_one<2, has_before>(unit, step, first, sums_before), slot(step * kSums + 2);
    if constexpr (kSums > 3) multiply_one<3, has_before>(unit, step, first, sums_before), slot(step * kSums + 3);
  }

  /// A unit; a share of the tokens of the unit before after each product from the second step on.
  template <bool has_before>
  [[gnu::always_inline]] static void multiply(Unit unit, Unit before, Sums& sums_before, LinesAhead& ahead) {
    Floats d, m;
    Pairs pair;
    if (has_before) load_rows(before, d, m, pair);
    constexpr int n_slots = (kSteps - 1) * kSums;
    const auto slot = [&](int i) __attribute__((always_inline)) {
      ahead.ask();
      if (!has_before || i < kSums) return;
      const int begin = (i - kSums) * kTokens / n_slots, end = (i - kSums + 1) * kTokens / n_slots;
      PHIAL_UNROLL
      for (int t = begin; t < end; ++t) finish(before, d, m, pair, sums_before, t);
    };
    PHIAL_UNROLL
    for (int step = 0; step < kSteps; ++step) multiply_step<has_before>(unit, step, step == 0, sums_before, slot);
  }
  static void finish_all(const Unit& unit, const Sums& sums) {
    Floats d, m;
    Pairs pair;
    load_rows(unit, d, m, pair);
    for (int t = 0; t < kTokens; ++t) finish(unit, d, m, pair, sums, t);
  }

  /// A unit whose f32 sums may pass 2^24, where they stop being exact: those of each of kRuns runs of steps cannot, and they are
  /// added as integers.
  static void multiply_in_runs(const Unit& unit) {
    constexpr int span = (F::kAct.sum_low + F::kAct.sum_high) * 128, kRuns = span * (F::kGroup / 2) <= F::kAct.sum_limit ? 2 : 4;
    static_assert(kSteps % kRuns == 0 && span * (F::kGroup / kRuns) <= F::kAct.sum_limit);
    Sums sums[kRuns];
    for (int run = 0; run < kRuns; ++run) {
      for (int step = 0; step < kSteps / kRuns; ++step)
        multiply_step<false>(unit, run * (kSteps / kRuns) + step, step == 0, sums[run], [](int) {});
      store_sums(sums[run]);
    }
    for (int i = 0; i < kSums; ++i)
      for (int row = 0; row < kTileRows; ++row) {
        I32x16 sum = zero_i32();
        for (int run = 0; run < kRuns; ++run) sum = add(sum, to_i32(as_f32(load(sums[run].tile[i][row]))));
        store(sums[0].tile[i][row], as_i32(to_f32(sum)));
      }
    finish_all(unit, sums[0]);
  }
  static bool may_exceed(const std::byte* record) {
    if constexpr (F::kAct.sum_values == 0) return false;
    int32_t flags[kTileRows], any = 0;
    for (int t = 0; t < T; ++t) {
      const TileToken token(F::kAct, record + t * kRecordBytes, 0);
      __builtin_memcpy(flags, token.aux + (F::kAct.n_aux - 1) * (kTileRows * 4), sizeof flags);
      for (const int32_t flag : flags) any |= flag;
    }
    return any != 0;
  }

  /// All units of n_panels panels and n_tiles tiles, whole ones.
  static void multiply_all(const Panel* panels, int n_panels, const std::byte* act, int n_tiles, float* acc, int64_t stride,
                           bool first_chunk, LinesAhead& ahead) {
    Sums sums;
    Unit before;
    bool has_before = false;
    for (int tile = 0; tile < n_tiles; tile += T) {
      const bool in_runs = may_exceed(act + tile * kRecordBytes);
      for (int r = 0; r < n_panels; r += R)
        for (int part = 0; part < kChunkK / F::kGroup; ++part) {
          const Unit unit{panels + r, act + tile * kRecordBytes, acc + tile * kTileRows * stride + r * 16, stride,
                          part,       first_chunk && part == 0};
          if constexpr (F::kAct.sum_values != 0)
            if (in_runs) {
              if (has_before) store_sums(sums), finish_all(before, sums);
              has_before = false;
              multiply_in_runs(unit);
              continue;
            }
          has_before ? multiply<true>(unit, before, sums, ahead) : multiply<false>(unit, before, sums, ahead);
          before = unit, has_before = true;
        }
    }
    if (has_before) store_sums(sums), finish_all(before, sums);
  }
};

/// All units of a block of rows: pairs of tiles, then the last one alone.
template <class F, class Numbers, int R, class Panel>
void multiply_pairs(const Panel* panels, int n_panels, const std::byte* act, int n_tiles, float* acc, bool first,
                    LinesAhead& ahead) {
  constexpr int record_bytes = kTileRows * F::kAct.token_bytes();
  const int64_t stride = n_panels * 16;
  const int n_paired = n_tiles / 2 * 2;
  GroupUnits<F, Numbers, Panel, R, 2>::multiply_all(panels, n_panels, act, n_paired, acc, stride, first, ahead);
  GroupUnits<F, Numbers, Panel, R, 1>::multiply_all(panels, n_panels, act + n_paired * record_bytes, n_tiles - n_paired,
                                                    acc + n_paired * kTileRows * stride, stride, first, ahead);
}
template <class F, class Numbers, class Panel>
void multiply_groups(const Panel* panels, int n_panels, const std::byte* act, int n_tokens, float* acc, bool first,
                     LinesAhead& ahead) {
  const int n_tiles = (n_tokens + kTileRows - 1) / kTileRows;
  if (Numbers::kPlanes == 1 && n_panels == 2)
    multiply_pairs<F, Numbers, 2 / Numbers::kPlanes>(panels, n_panels, act, n_tiles, acc, first, ahead);
  else
    multiply_pairs<F, Numbers, 1>(panels, n_panels, act, n_tiles, acc, first, ahead);
}

/// Part `part` of the chunk of n_panels panels, times n_tiles records from `record` on, to be added to acc.
template <class Panel>
struct TileUnit {
  const Panel* panel = nullptr;
  const std::byte* record = nullptr;
  float* acc = nullptr;
  int64_t stride = 0, part = 0;
  int n_tiles = 0, n_panels = 0, n_blocks = 0;
  bool is_first = false;  // nothing in acc yet
};

/// Blocks of 32: a unit is four blocks of two panels and one tile of tokens; sums of block b and panel r in tile 2 b + r of
/// memory.
template <class F>
struct BlockUnits {
  static_assert(F::kGroup == 32);
  static constexpr int kTokenTiles = 1, kPanels = 2, kBlocks = 4;
  static constexpr int parts(int n_blocks) { return (n_blocks + kBlocks - 1) / kBlocks; }
  static constexpr int kAtOnce = 4;  // tokens whose values lie in registers
  using Sums = UnitSums<kBlocks * kPanels>;

  template <int R, class Panel>
  static void finish_panels(const TileUnit<Panel>& unit, const Sums& sums, int64_t first) {
    const TileToken token(F::kAct, unit.record, first);
    F32x16 total[kAtOnce][R];
    PHIAL_UNROLL
    for (int i = 0; i < kAtOnce; ++i) PHIAL_UNROLL
    for (int r = 0; r < R; ++r) total[i][r] = load_unless(unit.is_first, unit.acc + (first + i) * unit.stride + r * 16);
    PHIAL_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const int64_t j = unit.part * kBlocks + b;
      if (j >= unit.n_blocks) break;
      F32x16 d[R];
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) d[r] = load(unit.panel[r].d[j]);
      PHIAL_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        const F32x16 scale = token.scale(j, i);
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          F32x16 value = mul(to_f32(load(sums.tile[b * kPanels + r][first + i])), d[r]);
          if constexpr (Panel::kMin) value = fma(as_f32(token.aux_dword(j, i)), load(unit.panel[r].m[j]), value);
          total[i][r] = fma(value, scale, total[i][r]);
        }
      }
    }
    PHIAL_UNROLL
    for (int i = 0; i < kAtOnce; ++i) PHIAL_UNROLL
    for (int r = 0; r < R; ++r) store(unit.acc + (first + i) * unit.stride + r * 16, total[i][r]);
  }
  template <class Panel>
  static void finish(const TileUnit<Panel>& unit, const Sums& sums, int64_t first) {
    unit.n_panels == kPanels ? finish_panels<kPanels>(unit, sums, first) : finish_panels<1>(unit, sums, first);
  }

  /// Block b of R panels, its sums in tiles to and to + 1.
  template <int to, int R, class Panel>
  static void multiply_block(const TileUnit<Panel>& unit, int b) {
    const int64_t j = unit.part * kBlocks + b;
    constexpr int act = kActTile + to / 2;
    tile_zero<to>();
    tile_load<act>(unit.record + j / 2 * (kTileRows * 64) + j % 2 * 32, 64);
    tile_load<kWeightTile>(unit.panel[0].q[j * 8], 64);
    tile_dot<to, act, kWeightTile, true, F::kSigned>();
    if constexpr (R == 2) {
      tile_zero<to + 1>();
      tile_load<kWeightTile + 1>(unit.panel[1].q[j * 8], 64);
      tile_dot<to + 1, act, kWeightTile + 1, true, F::kSigned>();
    }
  }

  template <bool whole, class Panel>
  static void multiply(const TileUnit<Panel>& unit, Sums& sums, const TileUnit<Panel>& before, const Sums& sums_before,
                       LinesAhead& ahead) {
    constexpr int R = whole ? kPanels : 1;
    const auto slot = [&](int i) {
      ahead.ask(), ahead.ask();
      if (before.n_tiles > 0) finish(before, sums_before, i * kAtOnce);
    };
    PHIAL_UNROLL
    for (int half = 0; half < 2; ++half) {
      auto* const to = sums.tile + half * 2 * kPanels;
      multiply_block<0, R>(unit, half * 2);
      slot(half * 2);
      multiply_block<2, R>(unit, half * 2 + 1);
      slot(half * 2 + 1);
      tile_store<0>(to[0], 64);
      if constexpr (R == 2) tile_store<1>(to[1], 64);
      tile_store<2>(to[2], 64);
      if constexpr (R == 2) tile_store<3>(to[3], 64);
    }
  }
};

template <class F, class Units, class Panel>
void multiply_units(const Panel* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc, bool first,
                    LinesAhead& ahead) {
  constexpr int record_bytes = kTileRows * F::kAct.token_bytes();
  const int n_tiles = (n_tokens + kTileRows - 1) / kTileRows;
  const int64_t stride = n_panels * 16;
  typename Units::Sums sums[2];
  TileUnit<Panel> before;
  int parity = 0;
  for (int tile = 0; tile < n_tiles; tile += Units::kTokenTiles)
    for (int r = 0; r < n_panels; r += Units::kPanels)
      for (int part = 0; part < Units::parts(n_blocks); ++part) {
        TileUnit<Panel> unit{panels + r, act + tile * record_bytes, acc + tile * kTileRows * stride + r * 16, stride, part};
        unit.n_tiles = n_tiles - tile < Units::kTokenTiles ? n_tiles - tile : Units::kTokenTiles;
        unit.n_panels = n_panels - r < Units::kPanels ? n_panels - r : Units::kPanels;
        unit.n_blocks = n_blocks;
        unit.is_first = first && part == 0;
        if (unit.n_tiles == Units::kTokenTiles && unit.n_panels == Units::kPanels)
          Units::template multiply<true>(unit, sums[parity], before, sums[1 - parity], ahead);
        else
          Units::template multiply<false>(unit, sums[parity], before, sums[1 - parity], ahead);
        before = unit;
        parity = 1 - parity;
      }
  for (int64_t t = 0; t < before.n_tiles * kTileRows; t += Units::kAtOnce) Units::finish(before, sums[1 - parity], t);
}

/// Whether levels times scales are integers that f16 holds, and tiles may multiply f16.
template <class F>
constexpr bool as_halves(bool f16_tiles) {
  return f16_tiles && F::kOffset == 0 && F::kMaxWeight * F::kMaxScale <= 2048;
}

/// How a format's panels are multiplied on tiles; none for floats.
template <class F, bool f16_tiles, class Panel = typename F::Panel>
struct TileProducts {
  static constexpr bool kExists = false;
};
template <class F, bool f16_tiles, int kSub, bool kMin>
struct TileProducts<F, f16_tiles, SubBlockPanel<kSub, kMin>> {
  static constexpr bool kExists = true, kHalves = as_halves<F>(f16_tiles);
  using Panel = std::conditional_t<kHalves, HalvesPanel<kSub, kMin>, PlanesPanel<kSub, kMin>>;
  static constexpr ActLayout act() {
    ActLayout layout = tile_layout(act_layout(F::kGroup, kMin ? F::kAct.aux : ActAux::none, 0));
    if (!kHalves) return layout;
    layout.values = ActValues::i8_as_f16;
    constexpr int span = F::kMaxWeight * F::kMaxScale, exact = 1 << 24;  // integers up to which f32 has all
    return span * F::kGroup * 128 <= exact ? layout : with_sum_flag(layout, F::kGroup, 0, span, exact);
  }
  struct Traits {
    static constexpr int kGroup = F::kGroup, kOffset = 0;  // the offset is in the planes
    static constexpr ActLayout kAct = act();
  };
  static constexpr ActLayout kAct = act();
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
    SubBlockPanel<kSub, kMin> levels;
    F::unpack(lines, halves, n_blocks, levels);
    if constexpr (kHalves)
      fold_scales(levels, *reinterpret_cast<Panel*>(panel));
    else
      fold_scales<F::kOffset>(levels, *reinterpret_cast<Panel*>(panel));
  }
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc, bool first,
                       LinesAhead& ahead) {
    using Numbers = std::conditional_t<kHalves, Halves, TwoBytes>;
    multiply_groups<Traits, Numbers>(reinterpret_cast<const Panel*>(panels), n_panels, act, n_tokens, acc, first, ahead);
  }
};
template <class F, bool f16_tiles, int kSub, bool kMin>
struct TileProducts<F, f16_tiles, FoldedPanel<kSub, kMin>> {
  static constexpr bool kExists = true;
  using Panel = FoldedPanel<kSub, kMin>;
  struct Traits {
    static constexpr int kGroup = F::kGroup, kOffset = F::kOffset;
    static constexpr ActLayout kAct = tile_layout(F::kAct);
  };
  static constexpr ActLayout kAct = Traits::kAct;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
    F::unpack(lines, halves, n_blocks, *reinterpret_cast<Panel*>(panel));
  }
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc, bool first,
                       LinesAhead& ahead) {
    multiply_groups<Traits, OneByte>(reinterpret_cast<const Panel*>(panels), n_panels, act, n_tokens, acc, first, ahead);
  }
};
/// Tiles take signed levels as well, so that no offset is left for the sums.
template <class F, bool f16_tiles, bool kMin>
struct TileProducts<F, f16_tiles, BlockPanel<kMin>> {
  static constexpr bool kExists = true;
  using Panel = BlockPanel<kMin>;
  struct Traits {
    static constexpr int kGroup = F::kGroup;
    static constexpr bool kSigned = F::kOffset != 0;
    static constexpr ActLayout kAct = tile_layout(act_layout(F::kGroup, kMin ? F::kAct.aux : ActAux::none, 0));
  };
  static constexpr ActLayout kAct = Traits::kAct;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
    Panel& p = *reinterpret_cast<Panel*>(panel);
    F::unpack(lines, halves, n_blocks, p);
    if constexpr (!Traits::kSigned) return;
    const I32x16 minus_offset = splat(static_cast<int32_t>((-F::kOffset & 0xFF) * 0x01010101u));
    for (int line = 0; line < n_blocks * 8; ++line) store_line(p.q[line], add_bytes(load_line(p.q[line]), minus_offset));
  }
  static void multiply(const std::byte* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc,
                       bool first, LinesAhead& ahead) {
    multiply_units<Traits, BlockUnits<Traits>>(reinterpret_cast<const Panel*>(panels), n_panels, n_blocks, act, n_tokens, acc,
                                               first, ahead);
  }
};

/// What multiplies 16 tokens and more of a format; without kernels where tiles do not serve it.
template <DType D, bool f16_tiles>
constexpr LinearFormat tile_format() {
  if constexpr (requires { sizeof(FormatKernels<D>); }) {
    using F = FormatKernels<D>;
    using Tiles = TileProducts<F, f16_tiles>;
    if constexpr (Tiles::kExists) {
      LinearFormat format{D, F::kPack, Tiles::kAct, Tiles::kAct, sizeof(typename Tiles::Panel), Tiles::unpack, Tiles::multiply};
      format.run_blocks = kTileRunBlocks;
      format.sets_first = true;
      format.enter = tile_configure < F::kGroup == 32 ? 32 : 64 > ;
      format.leave = tile_release;
      return format;
    }
  }
  return {.dtype = D};
}

// bf16 and f16 weights: tiles of 32 k.

struct Bf16Product {
  template <int sum, int act, int weights>
  static void dot() {
    tile_dot_bf16<sum, act, weights>();
  }
};
/// A step of few tokens: 32 k of R packed panels, paired on the way, or the n_k that are left. The panels share the tiles of
/// activations, which come from the second-level cache.
template <int R>
struct PairStep {
  alignas(64) uint8_t pairs[2][R][16][64];

  template <class Product>
  void multiply(const PackedPanels& panels, int64_t k, const std::byte* act) {
    auto& weights = pairs[k / 32 % 2];
    for (int p = 0; p < R; ++p)
      pair_tile(reinterpret_cast<const uint16_t*>(panels.start[p]) + k * 16, panels.n_blocks - k, weights[p]);
    tile_load<kActTile>(act, 64);
    tile_load<kWeightTile>(weights[0], 64);
    Product::template dot<0, kActTile, kWeightTile>();
    if constexpr (R == 2) {
      tile_load<kWeightTile + 1>(weights[1], 64);
      Product::template dot<1, kActTile, kWeightTile + 1>();
    }
  }

 private:
  static void pair_tile(const uint16_t* halves, int64_t n_k, uint8_t (&tile)[16][64]) {
    if (n_k < 32) {
      pair_lines(halves, static_cast<int>(n_k), 16, tile);
      return;
    }
    _Pragma("GCC unroll 16") for (int line = 0; line < 16; ++line) {
      ask_for(halves + line * 32 + kPrefetchBytes / 2);
      store_line(tile[line], weight_pair<2>(halves + line * 32));
    }
  }
};

/// bf16: sums lie in tiles over a chunk or, of few tokens, over all k.
struct Bf16Tiles {
  static constexpr ActLayout kAct = tile_layout(bf16_layout());

  static void unpack(const uint8_t*, const uint16_t* halves, int n_k, std::byte* panel) {
    pair_lines(halves, n_k, 16, reinterpret_cast<PairPanel*>(panel)->q);
  }
  /// R panels times T records, whose sums lie in tiles over the chunk: tile 2 t + r.
  template <int R, int T>
  static void multiply_tiles(const PairPanel* panels, int n_k, const std::byte* record, float* acc, bool first,
                             LinesAhead& ahead) {
    constexpr int record_bytes = kTileRows * kAct.token_bytes(), next = kTileRows * R * 16;
    if (first) {
      tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    } else {
      tile_load<0>(acc, R * 64);
      if constexpr (R == 2) tile_load<1>(acc + 16, R * 64);
      if constexpr (T == 2) tile_load<2>(acc + next, R * 64);
      if constexpr (R == 2 && T == 2) tile_load<3>(acc + next + 16, R * 64);
    }
    for (int k = 0; k < n_k; k += 32) {
      tile_load<kActTile>(record + k * (kTileRows * 2), 64);
      tile_load<kWeightTile>(panels[0].q[k / 2], 64);
      tile_dot_bf16<0, kActTile, kWeightTile>();
      ahead.ask();
      if constexpr (R == 2) {
        tile_load<kWeightTile + 1>(panels[1].q[k / 2], 64);
        tile_dot_bf16<1, kActTile, kWeightTile + 1>();
        ahead.ask();
      }
      if constexpr (T == 2) {
        tile_load<kActTile + 1>(record + record_bytes + k * (kTileRows * 2), 64);
        tile_dot_bf16<2, kActTile + 1, kWeightTile>();
        ahead.ask();
      }
      if constexpr (R == 2 && T == 2) {
        tile_dot_bf16<3, kActTile + 1, kWeightTile + 1>();
        ahead.ask();
      }
    }
    tile_store<0>(acc, R * 64);
    if constexpr (R == 2) tile_store<1>(acc + 16, R * 64);
    if constexpr (T == 2) tile_store<2>(acc + next, R * 64);
    if constexpr (R == 2 && T == 2) tile_store<3>(acc + next + 16, R * 64);
  }
  template <int R>
  static void multiply_panels(const PairPanel* panels, int n_k, const std::byte* act, int n_tokens, float* acc, bool first,
                              LinesAhead& ahead) {
    constexpr int record_bytes = kTileRows * kAct.token_bytes();
    int t = 0;
    for (; t + kTileRows < n_tokens; t += 2 * kTileRows)
      multiply_tiles<R, 2>(panels, n_k, act + t / kTileRows * record_bytes, acc + t * R * 16, first, ahead);
    if (t < n_tokens) multiply_tiles<R, 1>(panels, n_k, act + t / kTileRows * record_bytes, acc + t * R * 16, first, ahead);
  }
  static void multiply(const std::byte* panels, int n_panels, int n_k, const std::byte* act, int n_tokens, float* acc, bool first,
                       LinesAhead& ahead) {
    const auto* p = reinterpret_cast<const PairPanel*>(panels);
    n_panels == 2 ? multiply_panels<2>(p, n_k, act, n_tokens, acc, first, ahead)
                  : multiply_panels<1>(p, n_k, act, n_tokens, acc, first, ahead);
  }
  template <int R>
  static void multiply_packed(const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int,
                              float* const (&acc)[kMaxPanels]) {
    PairStep<R> step;
    tile_load<0>(acc[0], 64);
    if constexpr (R == 2) tile_load<1>(acc[1], 64);
    for (int64_t k = 0; k < panels.n_blocks; k += 32)
      step.template multiply<Bf16Product>(panels, k, act + k / kPairChunkK * chunk_stride + k % kPairChunkK * (kTileRows * 2));
    tile_store<0>(acc[0], 64);
    if constexpr (R == 2) tile_store<1>(acc[1], 64);
  }
};

/// f16: sums of a chunk lie in tiles, a group of GroupUnits without scales of weights; to each token belongs a power of two.
struct F16Tiles {
  static constexpr ActLayout kAct = tile_layout(f16_layout());
  struct Traits {
    static constexpr int kGroup = kPairChunkK, kOffset = 0;
    static constexpr ActLayout kAct = F16Tiles::kAct;
  };

  static void unpack(const uint8_t*, const uint16_t* halves, int n_k, std::byte* panel) {
    pair_lines(halves, n_k, kPairChunkK / 2, reinterpret_cast<PairPanel*>(panel)->q);
  }
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc, bool first,
                       LinesAhead& ahead) {
    multiply_groups<Traits, Halves>(reinterpret_cast<const PairPanel*>(panels), n_panels, act, n_tokens, acc, first, ahead);
  }
  template <int R>
  static void multiply_packed(const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int n_tokens,
                              float* const (&acc)[kMaxPanels]) {
    PairStep<R> step;
    UnitSums<R> sums[2];
    const int64_t n_k = panels.n_blocks;
    // What tiles store can be loaded only some time later: a chunk's float operations stand in the middle of the next one.
    const auto finish = [&](int64_t chunk) {
      for (int t = 0; t < n_tokens; ++t) {
        const F32x16 scale = TileToken(kAct, act + chunk * chunk_stride, t).scale(0, 0);
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          float* const to = acc[r] + t * 16;
          store(to, fma(as_f32(load(sums[chunk % 2].tile[r][t])), scale, load(to)));
        }
      }
    };
    for (int64_t begin = 0; begin < n_k; begin += kPairChunkK) {
      const int64_t chunk = begin / kPairChunkK, end = begin + kPairChunkK < n_k ? begin + kPairChunkK : n_k;
      tile_zero<0>();
      if constexpr (R == 2) tile_zero<1>();
      const int64_t middle = begin + kPairChunkK / 2 < end ? begin + kPairChunkK / 2 : begin;
      for (int64_t k = begin; k < end; k += 32) {
        step.template multiply<Halves>(panels, k, act + chunk * chunk_stride + (k - begin) * (kTileRows * 2));
        if (k == middle && chunk > 0) finish(chunk - 1);
      }
      tile_store<0>(sums[chunk % 2].tile[0], 64);
      if constexpr (R == 2) tile_store<1>(sums[chunk % 2].tile[1], 64);
    }
    finish((n_k - 1) / kPairChunkK);
  }
};

/// Weights that go through tiles throughout, as the roundings are the tiles' own.
template <class Tiles>
void use_tiles(LinearFormat& format) {
  format.act = format.packed_act = Tiles::kAct;
  format.panel_bytes = sizeof(PairPanel);
  format.unpack = Tiles::unpack;
  format.multiply = Tiles::multiply;
  format.multiply_packed = [](const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int n_tokens,
                              float* const(&acc)[kMaxPanels]) {
    panels.n == 2 ? Tiles::template multiply_packed<2>(panels, act, chunk_stride, n_tokens, acc)
                  : Tiles::template multiply_packed<1>(panels, act, chunk_stride, n_tokens, acc);
  };
  format.packed_tokens = kTileRows, format.packed_tiles = 1;
  format.run_blocks = kTileRunBlocks / 2;
  format.sets_first = true;
  format.enter = tile_configure<64>;
  format.leave = tile_release;
}

/// The kernels of `base` with tiles for 16 tokens and more, and bf16 weights (f16 where they can) on tiles throughout.
template <bool f16_tiles>
LinearKernels tile_kernels(const LinearKernels& base) {
  static constexpr LinearFormat tiles[] = {
#define X(name, text, id, values, bytes, group) tile_format<DType::name, f16_tiles>(),
#include "tensor/formats.def"
#undef X
  };
  static LinearFormat formats[kFormatCount];
  for (int i = 0; i < kFormatCount; ++i) {
    formats[i] = base.formats[i];
    if (tiles[i].multiply) formats[i].many = &tiles[i];
  }
  use_tiles<Bf16Tiles>(formats[static_cast<int>(DType::bf16)]);
  if constexpr (f16_tiles) use_tiles<F16Tiles>(formats[static_cast<int>(DType::f16)]);
  LinearKernels kernels = base;
  kernels.formats = formats;
  return kernels;
}
