// Matrix products of many tokens on AMX tiles: 16 tokens x 16 rows x 64 bytes of k an instruction, written against
// tiles_amx.h or its plain twin. The lines of a panel (16 rows x 4 k) are the tile of weights as they lie there. All
// integers are exact, so the bits are those of every other kernel:
// - K-quants: the sub-block's scale is multiplied into the levels when a panel is unpacked. What does not fit a byte then
//   (Q4_K 10 bits, Q5_K 11, Q6_K 14 signed) lies in two planes of bytes, whose sums come together as low + (high << 8).
// - A float scale per 32 (Q8_0, Q4_0...): tiles of half the length. By count 16 clocks of products and about 32 of vector
//   work for 16 x 16 x 32, which run side by side; the AVX-512 kernel takes 64 and 24 for the same, one after the other.
// - bf16: the activations are rounded to bf16; one token goes the same way as many, as the roundings are the tiles' own.

/// One token's place in a record of 16.
struct TileToken {
  const std::byte* scales;
  const std::byte* aux;
  TileToken(const std::byte* record, int group, int64_t token)
      : scales(record + kChunkK * kTileRows + token * 4), aux(scales + kChunkK / group * kTileRows * 4) {}
  // 64-bit indexes: their constant parts become displacements.
  F32x16 scale(int64_t g, int64_t t) const { return as_f32(splat_dword(scales + (g * kTileRows + t) * 4)); }
  I32x16 aux_dword(int64_t i, int64_t t) const { return splat_dword(aux + (i * kTileRows + t) * 4); }
};

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
  if constexpr (kMin) {
    store(out.m, load(levels.m));
    for (int i = 0; i < kChunkK / kSub / 2; ++i) store(out.min_pairs[i], load(levels.min_pairs[i]));
  }
  store(out.d, load(levels.d));
}

// The sums of a unit of products wait in memory while the next unit is multiplied, and its float operations stand between the
// tile instructions of that one: both take about as long, and what tiles store can be loaded only after it has left the core's
// queue of stores.

constexpr int kUnitTiles = 2;  // of tokens

template <int n_tiles>
struct alignas(64) UnitSums {
  int32_t tile[n_tiles][kTileRows][16];
};

/// Part `part` of the chunk of n_panels panels, times n_tiles records from `record` on, to be added to acc.
template <class Panel>
struct TileUnit {
  const Panel* panel = nullptr;
  const std::byte* record = nullptr;
  float* acc = nullptr;
  int64_t stride = 0, part = 0;
  int n_tiles = 0, n_panels = 0, n_blocks = 0;
};

/// Loads of activations (tiles t of the unit), then of weights, each followed by its products with all tiles of tokens.
template <class F, int T, class Panel>
inline void load_acts(const TileUnit<Panel>& unit, int64_t k) {
  constexpr int record_bytes = kTileRows * F::kAct.token_bytes();
  tile_load<kActTile>(unit.record + k * (kTileRows * 64), 64);
  if constexpr (T == 2) tile_load<kActTile + 1>(unit.record + record_bytes + k * (kTileRows * 64), 64);
}
template <int T>
inline void dot_low(const uint8_t* line) {
  tile_load<kWeightTile>(line, 64);
  tile_dot<0, kActTile, kWeightTile, true, false>();
  if constexpr (T == 2) tile_dot<1, kActTile + 1, kWeightTile, true, false>();
}
template <int T>
inline void dot_high(const uint8_t* line) {
  tile_load<kWeightTile + 1>(line, 64);
  tile_dot<2, kActTile, kWeightTile + 1, true, true>();
  if constexpr (T == 2) tile_dot<3, kActTile + 1, kWeightTile + 1, true, true>();
}

/// K-quants: a unit is a group of one panel and two tiles of tokens; sums of the low plane in tiles 0 and 1, of the high in 2
/// and 3.
template <class F, int n_planes>
struct GroupUnits {
  static_assert(F::kGroup % 64 == 0);
  static constexpr int kTokenTiles = kUnitTiles, kPanels = 1;
  using Sums = UnitSums<2 * kUnitTiles>;
  static constexpr int parts(int) { return kChunkK / F::kGroup; }
  static constexpr int kSteps = F::kGroup / 64, kSlots = kSteps * n_planes;
  static constexpr int kAtOnce = 8;  // tokens whose values lie in registers

  /// The float operations of tokens first to first + kAtOnce of a unit.
  template <class Panel>
  static void finish(const TileUnit<Panel>& unit, const Sums& sums, int64_t first) {
    const int64_t tile = first / kTileRows, row = first % kTileRows;
    const int32_t *const low = sums.tile[tile][row], *const high = sums.tile[kUnitTiles + tile][row];
    const TileToken token(unit.record + tile * (kTileRows * F::kAct.token_bytes()), F::kGroup, row);
    I32x16 sum[kAtOnce];
    PHIAL_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      sum[i] = load(low + i * 16);
      if constexpr (n_planes == 2) sum[i] = add(sum[i], shift_left<8>(load(high + i * 16)));
      if constexpr (n_planes == 1 && F::kOffset != 0) sum[i] = add(sum[i], token.aux_dword(unit.part, i));
    }
    end_group<F>(*unit.panel, sum, token, unit.part, unit.acc + first * unit.stride, unit.stride);
  }

  template <bool whole, class Panel>
  static void multiply(const TileUnit<Panel>& unit, Sums& sums, const TileUnit<Panel>& before, const Sums& sums_before) {
    constexpr int T = whole ? 2 : 1;
    constexpr int slot_tokens = kUnitTiles * kTileRows / kSlots;
    const int64_t n_before = before.n_tiles * kTileRows;
    const auto slot = [&](int i) {
      for (int64_t t = i * slot_tokens; t < (i + 1) * slot_tokens && t < n_before; t += kAtOnce) finish(before, sums_before, t);
    };
    tile_zero<0>();
    if constexpr (T == 2) tile_zero<1>();
    if constexpr (n_planes == 2) tile_zero<2>();
    if constexpr (n_planes == 2 && T == 2) tile_zero<3>();
    PHIAL_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      const int64_t k = unit.part * kSteps + step;
      load_acts<F, T>(unit, k);
      if constexpr (n_planes == 1) {
        dot_low<T>(unit.panel->q[k * 16]);
        slot(step);
      } else {
        dot_low<T>(unit.panel->q[0][k * 16]);
        slot(2 * step);
        dot_high<T>(unit.panel->q[1][k * 16]);
        slot(2 * step + 1);
      }
    }
    tile_store<0>(sums.tile[0], 64);
    if constexpr (T == 2) tile_store<1>(sums.tile[1], 64);
    if constexpr (n_planes == 2) tile_store<2>(sums.tile[2], 64);
    if constexpr (n_planes == 2 && T == 2) tile_store<3>(sums.tile[3], 64);
  }
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
    const TileToken token(unit.record, F::kGroup, first);
    F32x16 total[kAtOnce][R];
    PHIAL_UNROLL
    for (int i = 0; i < kAtOnce; ++i) PHIAL_UNROLL
    for (int r = 0; r < R; ++r) total[i][r] = load(unit.acc + (first + i) * unit.stride + r * 16);
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
  static void multiply(const TileUnit<Panel>& unit, Sums& sums, const TileUnit<Panel>& before, const Sums& sums_before) {
    constexpr int R = whole ? kPanels : 1;
    const auto slot = [&](int i) {
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
void multiply_units(const Panel* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc) {
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
        if (unit.n_tiles == Units::kTokenTiles && unit.n_panels == Units::kPanels)
          Units::template multiply<true>(unit, sums[parity], before, sums[1 - parity]);
        else
          Units::template multiply<false>(unit, sums[parity], before, sums[1 - parity]);
        before = unit;
        parity = 1 - parity;
      }
  for (int64_t t = 0; t < before.n_tiles * kTileRows; t += Units::kAtOnce) Units::finish(before, sums[1 - parity], t);
}

/// How a format's panels are multiplied on tiles; none for floats.
template <class F, class Panel = typename F::Panel>
struct TileProducts {
  static constexpr bool kExists = false;
};
template <class F, int kSub, bool kMin>
struct TileProducts<F, SubBlockPanel<kSub, kMin>> {
  static constexpr bool kExists = true;
  using Panel = PlanesPanel<kSub, kMin>;
  struct Traits {
    static constexpr int kGroup = F::kGroup, kOffset = 0;  // the offset is in the planes
    static constexpr ActLayout kAct = tile_layout(act_layout(F::kGroup, kMin ? F::kAct.aux : ActAux::none, 0));
  };
  static constexpr ActLayout kAct = Traits::kAct;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
    SubBlockPanel<kSub, kMin> levels;
    F::unpack(lines, halves, n_blocks, levels);
    fold_scales<F::kOffset>(levels, *reinterpret_cast<Panel*>(panel));
  }
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc) {
    multiply_units<Traits, GroupUnits<Traits, 2>>(reinterpret_cast<const Panel*>(panels), n_panels, 1, act, n_tokens, acc);
  }
};
template <class F, int kSub, bool kMin>
struct TileProducts<F, FoldedPanel<kSub, kMin>> {
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
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc) {
    multiply_units<Traits, GroupUnits<Traits, 1>>(reinterpret_cast<const Panel*>(panels), n_panels, 1, act, n_tokens, acc);
  }
};
/// Tiles take signed levels as well, so that no offset is left for the sums.
template <class F, bool kMin>
struct TileProducts<F, BlockPanel<kMin>> {
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
  static void multiply(const std::byte* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc) {
    multiply_units<Traits, BlockUnits<Traits>>(reinterpret_cast<const Panel*>(panels), n_panels, n_blocks, act, n_tokens, acc);
  }
};

/// What multiplies 16 tokens and more of a format; without kernels where tiles do not serve it.
template <DType D>
constexpr LinearFormat tile_format() {
  if constexpr (requires { sizeof(FormatKernels<D>); }) {
    using F = FormatKernels<D>;
    using Tiles = TileProducts<F>;
    if constexpr (Tiles::kExists) {
      LinearFormat format{D, F::kPack, Tiles::kAct, Tiles::kAct, sizeof(typename Tiles::Panel), Tiles::unpack, Tiles::multiply};
      format.enter = tile_configure < F::kGroup == 32 ? 32 : 64 > ;
      format.leave = tile_release;
      return format;
    }
  }
  return {.dtype = D};
}

// bf16 weights: tiles of 32 k.
struct Bf16Tiles {
  static constexpr ActLayout kAct = tile_layout(bf16_layout());

  static void unpack(const uint8_t*, const uint16_t* halves, int n_k, std::byte* panel) {
    pair_lines(halves, n_k, 16, reinterpret_cast<Bf16Panel*>(panel)->pairs);
  }
  /// R panels times T records, whose sums lie in tiles over the chunk: tile 2 t + r.
  template <int R, int T>
  static void multiply_tiles(const Bf16Panel* panels, int n_k, const std::byte* record, float* acc) {
    constexpr int record_bytes = kTileRows * kAct.token_bytes(), next = kTileRows * R * 16;
    tile_load<0>(acc, R * 64);
    if constexpr (R == 2) tile_load<1>(acc + 16, R * 64);
    if constexpr (T == 2) tile_load<2>(acc + next, R * 64);
    if constexpr (R == 2 && T == 2) tile_load<3>(acc + next + 16, R * 64);
    for (int k = 0; k < n_k; k += 32) {
      tile_load<kActTile>(record + k * (kTileRows * 2), 64);
      tile_load<kWeightTile>(panels[0].pairs[k / 2], 64);
      tile_dot_bf16<0, kActTile, kWeightTile>();
      if constexpr (R == 2) {
        tile_load<kWeightTile + 1>(panels[1].pairs[k / 2], 64);
        tile_dot_bf16<1, kActTile, kWeightTile + 1>();
      }
      if constexpr (T == 2) {
        tile_load<kActTile + 1>(record + record_bytes + k * (kTileRows * 2), 64);
        tile_dot_bf16<2, kActTile + 1, kWeightTile>();
      }
      if constexpr (R == 2 && T == 2) tile_dot_bf16<3, kActTile + 1, kWeightTile + 1>();
    }
    tile_store<0>(acc, R * 64);
    if constexpr (R == 2) tile_store<1>(acc + 16, R * 64);
    if constexpr (T == 2) tile_store<2>(acc + next, R * 64);
    if constexpr (R == 2 && T == 2) tile_store<3>(acc + next + 16, R * 64);
  }
  template <int R>
  static void multiply_panels(const Bf16Panel* panels, int n_k, const std::byte* act, int n_tokens, float* acc) {
    constexpr int record_bytes = kTileRows * kAct.token_bytes();
    int t = 0;
    for (; t + kTileRows < n_tokens; t += 2 * kTileRows)
      multiply_tiles<R, 2>(panels, n_k, act + t / kTileRows * record_bytes, acc + t * R * 16);
    if (t < n_tokens) multiply_tiles<R, 1>(panels, n_k, act + t / kTileRows * record_bytes, acc + t * R * 16);
  }
  static void multiply(const std::byte* panels, int n_panels, int n_k, const std::byte* act, int n_tokens, float* acc) {
    const auto* p = reinterpret_cast<const Bf16Panel*>(panels);
    n_panels == 2 ? multiply_panels<2>(p, n_k, act, n_tokens, acc) : multiply_panels<1>(p, n_k, act, n_tokens, acc);
  }
  static constexpr int kTilePrefetchBytes = 24576;
  /// Few tokens: a tile of weights at a time.
  static void multiply_packed(const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int,
                              float* const (&acc)[kMaxPanels]) {
    alignas(64) uint8_t pairs[2][16][64];
    const int64_t n_k = panels.n_blocks;
    for (int p = 0; p < panels.n; ++p) {
      const auto* halves = reinterpret_cast<const uint16_t*>(panels.start[p]);
      tile_load<0>(acc[p], 64);
      for (int64_t k = 0; k < n_k; k += 32) {
        for (int line = 0; line < 16; ++line) __builtin_prefetch(halves + (k + line * 2) * 16 + kTilePrefetchBytes / 2, 0, 2);
        uint8_t(*const tile)[64] = pairs[k / 32 % 2];
        pair_lines(halves + k * 16, n_k - k < 32 ? static_cast<int>(n_k - k) : 32, 16, tile);
        tile_load<kActTile>(act + k / kBf16ChunkK * chunk_stride + k % kBf16ChunkK * (kTileRows * 2), 64);
        tile_load<kWeightTile>(tile, 64);
        tile_dot_bf16<0, kActTile, kWeightTile>();
      }
      tile_store<0>(acc[p], 64);
    }
  }
};

/// The kernels of `base` with tiles for 16 tokens and more, and bf16 weights on tiles throughout.
inline LinearKernels tile_kernels(const LinearKernels& base) {
  static constexpr LinearFormat tiles[] = {
#define X(name, text, id, values, bytes, group) tile_format<DType::name>(),
#include "tensor/formats.def"
#undef X
  };
  static LinearFormat formats[kFormatCount];
  for (int i = 0; i < kFormatCount; ++i) {
    formats[i] = base.formats[i];
    if (tiles[i].multiply) formats[i].many = &tiles[i];
  }
  LinearFormat& bf16 = formats[static_cast<int>(DType::bf16)];
  bf16.act = bf16.packed_act = Bf16Tiles::kAct;
  bf16.panel_bytes = sizeof(Bf16Panel);
  bf16.unpack = Bf16Tiles::unpack;
  bf16.multiply = Bf16Tiles::multiply;
  bf16.multiply_packed = Bf16Tiles::multiply_packed;
  bf16.packed_tokens = kTileTokens, bf16.packed_tiles = 1;  // a record is a tile of 16
  bf16.enter = tile_configure<64>;
  bf16.leave = tile_release;
  LinearKernels kernels = base;
  kernels.formats = formats;
  return kernels;
}
