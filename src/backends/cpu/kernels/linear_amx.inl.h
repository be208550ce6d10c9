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
  TileToken(const std::byte* record, int group, int token)
      : scales(record + kChunkK * kTileRows + token * 4), aux(scales + kChunkK / group * kTileRows * 4) {}
  F32x16 scale(int g, int t) const { return as_f32(splat_dword(scales + (g * kTileRows + t) * 4)); }
  I32x16 aux_dword(int i, int t) const { return splat_dword(aux + (i * kTileRows + t) * 4); }
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

template <int kSub, bool kMin>
inline void fold_scales(const SubBlockPanel<kSub, kMin>& levels, int offset, PlanesPanel<kSub, kMin>& out) {
  const I32x16 low_bytes = splat(0x00FF00FF), high_bytes = splat(static_cast<int32_t>(0xFF00FF00u));
  const I32x16 minus_offset = splat(((-offset & 0xFFFF) << 16) | (-offset & 0xFFFF));
  for (int j = 0; j < kChunkK / kSub; ++j) {
    const I32x16 scale = load(levels.scale[j]), words = bits_or(bits_and(scale, splat(0xFFFF)), shift_left<16>(scale));
    const I32x16 base = mul_words(words, minus_offset);
    for (int line = j * (kSub / 4); line < (j + 1) * (kSub / 4); ++line) {
      const I32x16 q = load_line(levels.q[line]);
      const I32x16 even = add_words(mul_words(bits_and(q, low_bytes), words), base);
      const I32x16 odd = add_words(mul_words(bits_and(shift_right_bits<8>(q), low_bytes), words), base);
      store_line(out.q[0][line], bits_or(bits_and(even, low_bytes), shift_left<8>(bits_and(odd, low_bytes))));
      store_line(out.q[1][line], bits_or(bits_and(shift_right_bits<8>(even), low_bytes), bits_and(odd, high_bytes)));
    }
  }
  if constexpr (kMin) {
    store(out.m, load(levels.m));
    for (int i = 0; i < kChunkK / kSub / 2; ++i) store(out.min_pairs[i], load(levels.min_pairs[i]));
  }
  store(out.d, load(levels.d));
}

/// The sums of one tile of products, of one plane or two.
struct alignas(64) TileSums {
  int32_t plane[2][kTileRows][16];
};

/// Tiles 2 r and 2 r + 1 += products of 64 k, from line `line` on, of panel r; then likewise for the panels behind it.
template <int R, int r, int kSub, bool kMin>
inline void add_tiles(const PlanesPanel<kSub, kMin>* panels, int line) {
  tile_load<kWeightTile>(panels[r].q[0][line], 64);
  tile_dot_unsigned<2 * r, kActTile, kWeightTile>();
  tile_load<kWeightTile>(panels[r].q[1][line], 64);
  tile_dot_signed<2 * r + 1, kActTile, kWeightTile>();
  if constexpr (r + 1 < R) add_tiles<R, r + 1>(panels, line);
}
template <int R, int r, int kSub, bool kMin>
inline void add_tiles(const FoldedPanel<kSub, kMin>* panels, int line) {
  tile_load<kWeightTile>(panels[r].q[line], 64);
  tile_dot_unsigned<2 * r, kActTile, kWeightTile>();
  if constexpr (r + 1 < R) add_tiles<R, r + 1>(panels, line);
}
template <int R, int r, int n_planes>
inline void zero_tiles() {
  tile_zero<2 * r>();
  if constexpr (n_planes == 2) tile_zero<2 * r + 1>();
  if constexpr (r + 1 < R) zero_tiles<R, r + 1, n_planes>();
}
template <int R, int r, int n_planes>
inline void store_tiles(TileSums* sums) {
  tile_store<2 * r>(sums[r].plane[0], 64);
  if constexpr (n_planes == 2) tile_store<2 * r + 1>(sums[r].plane[1], 64);
  if constexpr (r + 1 < R) store_tiles<R, r + 1, n_planes>(sums);
}

/// K-quants: group by group, so that the weights of a group stay in first-level cache while all tokens pass.
template <class F, int n_planes, int R, class Panel>
void multiply_groups(const Panel* panels, const std::byte* act, int n_tokens, float* acc) {
  static_assert(F::kGroup % 64 == 0);
  constexpr int at_once = 4;  // tokens whose values lie in registers
  constexpr int record_bytes = kTileRows * F::kAct.token_bytes();
  TileSums sums[R];
  for (int g = 0; g < kChunkK / F::kGroup; ++g) {
    const std::byte* record = act;
    float* to = acc;
    for (int t = 0; t < n_tokens; t += kTileRows, record += record_bytes, to += kTileRows * R * 16) {
      zero_tiles<R, 0, n_planes>();
      for (int k = g * (F::kGroup / 64); k < (g + 1) * (F::kGroup / 64); ++k) {
        tile_load<kActTile>(record + k * (kTileRows * 64), 64);
        add_tiles<R, 0>(panels, k * 16);
        for (int line = 0; line < kTileRows; ++line) __builtin_prefetch(record + record_bytes + (k * kTileRows + line) * 64);
      }
      store_tiles<R, 0, n_planes>(sums);
      for (int r = 0; r < R; ++r)
        for (int first = 0; first < kTileRows; first += at_once) {
          const TileToken token(record, F::kGroup, first);
          I32x16 sum[at_once];
          PHIAL_UNROLL
          for (int i = 0; i < at_once; ++i) {
            sum[i] = load(sums[r].plane[0][first + i]);
            if constexpr (n_planes == 2) sum[i] = add(sum[i], shift_left<8>(load(sums[r].plane[1][first + i])));
            if constexpr (n_planes == 1 && F::kOffset != 0) sum[i] = add(sum[i], token.aux_dword(g, i));
            __builtin_prefetch(to + ((kTileRows + first + i) * R + r) * 16, 1);
          }
          end_group<F>(panels[r], sum, token, g, to + (first * R + r) * 16, R * 16);
        }
    }
  }
}

/// Blocks of 32: what is added to stays in registers over a chunk, one panel at a time.
template <class F, bool kMin>
void multiply_blocks(const BlockPanel<kMin>* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc) {
  static_assert(F::kGroup == 32);
  constexpr int record_bytes = kTileRows * F::kAct.token_bytes();
  TileSums sums;
  for (int t = 0; t < n_tokens; t += kTileRows, act += record_bytes, acc += kTileRows * n_panels * 16)
    for (int r = 0; r < n_panels; ++r) {
      const TileToken token(act, F::kGroup, 0);
      F32x16 total[kTileRows];
      PHIAL_UNROLL
      for (int i = 0; i < kTileRows; ++i) total[i] = load(acc + (i * n_panels + r) * 16);
      for (int j = 0; j < n_blocks; ++j) {
        int32_t(*const sum)[16] = sums.plane[j % 2];
        tile_zero<0>();
        tile_load<kActTile32>(act + j / 2 * (kTileRows * 64) + j % 2 * 32, 64);
        tile_load<kWeightTile32>(panels[r].q[j * 8], 64);
        tile_dot_unsigned<0, kActTile32, kWeightTile32>();
        tile_store<0>(sum, 64);
        const F32x16 d = load(panels[r].d[j]);
        PHIAL_UNROLL
        for (int i = 0; i < kTileRows; ++i) {
          I32x16 exact = load(sum[i]);
          if constexpr (F::kOffset != 0) exact = add(exact, token.aux_dword(j, i));
          F32x16 value = mul(to_f32(exact), d);
          if constexpr (kMin) value = fma(as_f32(token.aux_dword(j, i)), load(panels[r].m[j]), value);
          total[i] = fma(value, token.scale(j, i), total[i]);
        }
      }
      PHIAL_UNROLL
      for (int i = 0; i < kTileRows; ++i) store(acc + (i * n_panels + r) * 16, total[i]);
    }
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
    fold_scales(levels, F::kOffset, *reinterpret_cast<Panel*>(panel));
  }
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc) {
    const auto* p = reinterpret_cast<const Panel*>(panels);
    n_panels == 2 ? multiply_groups<Traits, 2, 2>(p, act, n_tokens, acc) : multiply_groups<Traits, 2, 1>(p, act, n_tokens, acc);
  }
};
/// Panels as the other kernels unpack them.
template <class F>
struct SamePanels {
  static constexpr bool kExists = true;
  using Panel = typename F::Panel;
  struct Traits {
    static constexpr int kGroup = F::kGroup, kOffset = F::kOffset;
    static constexpr ActLayout kAct = tile_layout(F::kAct);
  };
  static constexpr ActLayout kAct = Traits::kAct;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
    F::unpack(lines, halves, n_blocks, *reinterpret_cast<Panel*>(panel));
  }
};
template <class F, int kSub, bool kMin>
struct TileProducts<F, FoldedPanel<kSub, kMin>> : SamePanels<F> {
  static void multiply(const std::byte* panels, int n_panels, int, const std::byte* act, int n_tokens, float* acc) {
    using Traits = typename SamePanels<F>::Traits;
    const auto* p = reinterpret_cast<const FoldedPanel<kSub, kMin>*>(panels);
    n_panels == 2 ? multiply_groups<Traits, 1, 2>(p, act, n_tokens, acc) : multiply_groups<Traits, 1, 1>(p, act, n_tokens, acc);
  }
};
template <class F, bool kMin>
struct TileProducts<F, BlockPanel<kMin>> : SamePanels<F> {
  static void multiply(const std::byte* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc) {
    multiply_blocks<typename SamePanels<F>::Traits>(reinterpret_cast<const BlockPanel<kMin>*>(panels), n_panels, n_blocks, act,
                                                    n_tokens, acc);
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
      format.enter = tile_configure;
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
  static void multiply(const std::byte* panels, int n_panels, int n_k, const std::byte* act, int n_tokens, float* acc) {
    const auto* p = reinterpret_cast<const Bf16Panel*>(panels);
    for (int t = 0; t < n_tokens; t += kTileRows, act += kTileRows * kAct.token_bytes(), acc += kTileRows * n_panels * 16) {
      tile_load<0>(acc, n_panels * 64);
      if (n_panels == 2) tile_load<1>(acc + 16, 128);
      for (int k = 0; k < n_k; k += 32) {
        tile_load<kActTile>(act + k * (kTileRows * 2), 64);
        tile_load<kWeightTile>(p[0].pairs[k / 2], 64);
        tile_dot_bf16<0, kActTile, kWeightTile>();
        if (n_panels == 2) {
          tile_load<kWeightTile>(p[1].pairs[k / 2], 64);
          tile_dot_bf16<1, kActTile, kWeightTile>();
        }
      }
      tile_store<0>(acc, n_panels * 64);
      if (n_panels == 2) tile_store<1>(acc + 16, 128);
    }
  }
  /// Few tokens: a tile of weights at a time.
  static void multiply_packed(const uint8_t*, const uint16_t* halves, int64_t n_k, const std::byte* act, int64_t chunk_stride,
                              int, float* acc) {
    alignas(64) uint8_t pairs[2][16][64];
    tile_load<0>(acc, 64);
    for (int64_t k = 0; k < n_k; k += 32) {
      for (int line = 0; line < 16; ++line) __builtin_prefetch(halves + (k + line * 2) * 16 + kPrefetchBytes / 2, 0, 2);
      uint8_t(*const tile)[64] = pairs[k / 32 % 2];
      pair_lines(halves + k * 16, n_k - k < 32 ? static_cast<int>(n_k - k) : 32, 16, tile);
      tile_load<kActTile>(act + k / kBf16ChunkK * chunk_stride + k % kBf16ChunkK * (kTileRows * 2), 64);
      tile_load<kWeightTile>(tile, 64);
      tile_dot_bf16<0, kActTile, kWeightTile>();
    }
    tile_store<0>(acc, 64);
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
  bf16.multiply_pair = nullptr;
  bf16.packed_tokens = kTileTokens, bf16.packed_tiles = 1;  // a record is a tile of 16
  bf16.enter = tile_configure;
  bf16.leave = tile_release;
  LinearKernels kernels = base;
  kernels.formats = formats;
  return kernels;
}
