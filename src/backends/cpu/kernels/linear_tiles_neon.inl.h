// Tile kernels over q registers, in place of those of linear_tiles.inl.h: the same sums in the same order. A tile is 8 rows
// (half a panel) times T tokens, so that the sums of a sub-block and of a group lie in registers together.
// With SDOT a register holds 4 rows of one token; the lines of a panel are as they were unpacked. With SMMLA (PHIAL_I8MM) it
// holds 2 rows x 2 tokens, and two lines are zipped to 2 rows x 8 consecutive k (arrange_lines).

constexpr int kHalfRows = 8;
#ifdef PHIAL_I8MM
constexpr int kRowVectors = 4;  // registers with other rows, of one token or two
template <int T>
constexpr int kTokenVectors = (T + 1) / 2;
constexpr int kHalfLine = 64;  // bytes from the first half of a panel's rows to the second
#else
constexpr int kRowVectors = 2;
template <int T>
constexpr int kTokenVectors = T;
constexpr int kHalfLine = 32;
#endif

/// sum += w times lane `lane` of x.
inline float32x4_t fma_lane(float32x4_t sum, float32x4_t w, float32x4_t x, unsigned lane) {
  switch (lane) {  // known to the compiler
    case 0:
      return vfmaq_laneq_f32(sum, w, x, 0);
    case 1:
      return vfmaq_laneq_f32(sum, w, x, 1);
    case 2:
      return vfmaq_laneq_f32(sum, w, x, 2);
    default:
      return vfmaq_laneq_f32(sum, w, x, 3);
  }
}
/// sum += low words times word 2 `lane` of x + high words times the next.
inline int32x4_t fma_words(int32x4_t sum, int16x4_t low, int16x4_t high, int16x8_t x, unsigned lane) {
  switch (lane) {
    case 0:
      return vmlal_laneq_s16(vmlal_laneq_s16(sum, low, x, 0), high, x, 1);
    case 1:
      return vmlal_laneq_s16(vmlal_laneq_s16(sum, low, x, 2), high, x, 3);
    case 2:
      return vmlal_laneq_s16(vmlal_laneq_s16(sum, low, x, 4), high, x, 5);
    default:
      return vmlal_laneq_s16(vmlal_laneq_s16(sum, low, x, 6), high, x, 7);
  }
}
/// The register that dword i of those at p lies in, lane i % 4; what is behind the last dword may be read.
inline int32x4_t load_four(const std::byte* p, int i) { return load_quarter(reinterpret_cast<const uint8_t*>(p) + i / 4 * 16); }

template <class Vector, int T>
struct HalfTile {
  Vector v[kRowVectors][kTokenVectors<T>];
};
template <int T>
using IntTile = HalfTile<int32x4_t, T>;
template <int T>
using FloatTile = HalfTile<float32x4_t, T>;

/// f(register, its row vector, its token vector) for all registers of a tile.
template <class Vector, int T, class Change>
inline void change_tile(HalfTile<Vector, T>& tile, Change change) {
  PHIAL_UNROLL
  for (int i = 0; i < kRowVectors; ++i) PHIAL_UNROLL
  for (int j = 0; j < kTokenVectors<T>; ++j) change(tile.v[i][j], i, j);
}

/// What belongs to 8 rows, beside each register of products.
inline void load_rows(const int32_t* p, int32x4_t (&rows)[kRowVectors]) {
  const int32x4_t a = vld1q_s32(p), b = vld1q_s32(p + 4);
#ifdef PHIAL_I8MM
  rows[0] = vzip1q_s32(a, a), rows[1] = vzip2q_s32(a, a), rows[2] = vzip1q_s32(b, b), rows[3] = vzip2q_s32(b, b);
#else
  rows[0] = a, rows[1] = b;
#endif
}
inline void load_rows(const float* p, float32x4_t (&rows)[kRowVectors]) {
  const float32x4_t a = vld1q_f32(p), b = vld1q_f32(p + 4);
#ifdef PHIAL_I8MM
  rows[0] = vzip1q_f32(a, a), rows[1] = vzip2q_f32(a, a), rows[2] = vzip1q_f32(b, b), rows[3] = vzip2q_f32(b, b);
#else
  rows[0] = a, rows[1] = b;
#endif
}

/// What belongs to token vector j of the tokens' dwords at p, beside each register of products. Behind the last of an odd
/// number of tokens one more dword is read, for a lane nobody uses.
inline int32x4_t load_tokens(const std::byte* p, int j) {
#ifdef PHIAL_I8MM
  int64_t two;
  __builtin_memcpy(&two, p + j * 8, 8);
  return vreinterpretq_s32_s64(vdupq_n_s64(two));
#else
  int32_t one;
  __builtin_memcpy(&one, p + j * 4, 4);
  return vdupq_n_s32(one);
#endif
}

/// Rows 4 q to 4 q + 3 of token t.
template <class Vector, int T>
inline Vector four_rows(const HalfTile<Vector, T>& tile, int q, int t) {
#ifdef PHIAL_I8MM
  const int32x4_t a = int32x4_t(tile.v[2 * q][t / 2]), b = int32x4_t(tile.v[2 * q + 1][t / 2]);
  return Vector(t % 2 == 0 ? vuzp1q_s32(a, b) : vuzp2q_s32(a, b));
#else
  return tile.v[q][t];
#endif
}

/// acc [T][16], the half's first row first.
template <int T>
inline void load_sums(const float* acc, FloatTile<T>& tile) {
#ifdef PHIAL_I8MM
  PHIAL_UNROLL
  for (int q = 0; q < 2; ++q) PHIAL_UNROLL
  for (int t = 0; t < T; t += 2) {
    const float32x4_t a = vld1q_f32(acc + t * 16 + q * 4), b = t + 1 < T ? vld1q_f32(acc + (t + 1) * 16 + q * 4) : a;
    tile.v[2 * q][t / 2] = vzip1q_f32(a, b), tile.v[2 * q + 1][t / 2] = vzip2q_f32(a, b);
  }
#else
  change_tile(tile, [acc](float32x4_t& v, int q, int t) { v = vld1q_f32(acc + t * 16 + q * 4); });
#endif
}
template <int T>
inline void store_sums(float* acc, const FloatTile<T>& tile) {
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int q = 0; q < 2; ++q) vst1q_f32(acc + t * 16 + q * 4, four_rows(tile, q, t));
}

/// sum += products of kSteps steps from `first` on; lines: of the panel, from the half's rows on.
template <int kSteps, int T>
inline void add_products(const uint8_t* lines, const ActRecord<T>& act, int first, IntTile<T>& sum) {
  static_assert(kSteps % 4 == 0);
  lines += first * 64;
  PHIAL_UNROLL
  for (int step = 0; step < kSteps; step += kActSteps) {
#ifdef PHIAL_I8MM
    const int8_t* x = reinterpret_cast<const int8_t*>(act.q) + (first + step) * T * 4;
    int8x16_t w[kRowVectors];
    PHIAL_UNROLL
    for (int i = 0; i < kRowVectors; ++i) w[i] = vreinterpretq_s8_u8(vld1q_u8(lines + step * 64 + i * 16));
    PHIAL_UNROLL
    for (int j = 0; j < kTokenVectors<T>; ++j) {
      const int8x16_t two = vld1q_s8(x + j * 16);
      PHIAL_UNROLL
      for (int i = 0; i < kRowVectors; ++i) sum.v[i][j] = vmmlaq_s32(sum.v[i][j], w[i], two);
    }
#else
    PHIAL_UNROLL
    for (int s = step; s < step + kActSteps; ++s) {
      const int32x4_t w[2] = {load_quarter(lines + s * 64), load_quarter(lines + s * 64 + 16)};
      change_tile(sum, [&](int32x4_t& v, int q, int t) { v = dot_bytes(v, w[q], act.values(first, s, t)); });
    }
#endif
  }
}

/// The start of integer sums: what aux dword i of each token holds, or zero.
template <class F, int T>
inline void start_tile(const ActRecord<T>& act, int i, IntTile<T>& sum) {
  change_tile(sum, [&](int32x4_t& v, int, int j) { v = F::kOffset ? load_tokens(act.aux + i * T * 4, j) : vdupq_n_s32(0); });
}

/// t = I d (+ M m); acc = fma(t, s, acc), for the 8 rows that begin at `row`.
template <class F, class Panel, int T>
inline void end_group(const Panel& panel, int row, const IntTile<T>& sum, const ActRecord<T>& act, int g, float* acc) {
  constexpr int n_pairs = Panel::kMin ? F::kGroup / Panel::kSub / 2 : 0;
  const std::byte *scales = act.scales + g * T * 4, *aux = act.aux + g * n_pairs * T * 4;
  PHIAL_UNROLL
  for (int q = 0; q < 2; ++q, row += 4) {
    memory_barrier();  // else loads come too early, and sums are spilled
    float32x4_t value[T];
    const float32x4_t d = vld1q_f32(panel.d + row);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) value[t] = vmulq_f32(vcvtq_f32_s32(four_rows(sum, q, t)), d);
    if constexpr (Panel::kMin) {
      int32x4_t mins[T];
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) mins[t] = vdupq_n_s32(0);
      PHIAL_UNROLL
      for (int p = 0; p < n_pairs; ++p) {
        const int32x4_t pair = vld1q_s32(panel.min_pairs[g * n_pairs + p] + row);
        const int16x4_t low = vmovn_s32(pair), high = vshrn_n_s32(pair, 16);
        PHIAL_UNROLL
        for (int t = 0; t < T; ++t) {
          const int i = p * T + t;
          mins[t] = fma_words(mins[t], low, high, vreinterpretq_s16_s32(load_four(aux, i)), static_cast<unsigned>(i % 4));
        }
      }
      const float32x4_t m = vld1q_f32(panel.m + row);
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) value[t] = vfmaq_f32(value[t], vcvtq_f32_s32(mins[t]), m);
    }
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      float* at = acc + t * 16 + row;
      const float32x4_t four = vreinterpretq_f32_s32(load_four(scales, t));
      vst1q_f32(at, fma_lane(vld1q_f32(at), value[t], four, static_cast<unsigned>(t % 4)));
    }
  }
}

template <class F, int R, int T, int kSub, bool kMin>
requires(kTilePanels == 1) inline void multiply_tile(const SubBlockPanel<kSub, kMin>* panel, int, const std::byte* record,
                                                     float* acc) {
  static_assert(R == 1);
  const ActRecord<T> act(record, F::kGroup);
  for (int half = 0; half < 2; ++half)
    for (int g = 0; g < kChunkK / F::kGroup; ++g) {
      IntTile<T> sum;
      change_tile(sum, [](int32x4_t& v, int, int) { v = vdupq_n_s32(0); });
      for (int j = g * (F::kGroup / kSub); j < (g + 1) * (F::kGroup / kSub); ++j) {
        IntTile<T> part;
        start_tile<F>(act, j, part);
        add_products<kSub / 4>(panel->q[0] + half * kHalfLine, act, j * (kSub / 4), part);
        int32x4_t scale[kRowVectors];
        load_rows(panel->scale[j] + half * kHalfRows, scale);
        change_tile(sum, [&](int32x4_t& v, int r, int t) { v = vmlaq_s32(v, part.v[r][t], scale[r]); });
      }
      end_group<F>(*panel, half * kHalfRows, sum, act, g, acc);
    }
}

template <class F, int R, int T, int kSub, bool kMin>
requires(kTilePanels == 1) inline void multiply_tile(const FoldedPanel<kSub, kMin>* panel, int, const std::byte* record,
                                                     float* acc) {
  static_assert(R == 1);
  const ActRecord<T> act(record, F::kGroup);
  for (int half = 0; half < 2; ++half)
    for (int g = 0; g < kChunkK / F::kGroup; ++g) {
      IntTile<T> sum;
      start_tile<F>(act, g, sum);
      for (int step = g * (F::kGroup / 4); step < (g + 1) * (F::kGroup / 4); step += 8)
        add_products<8>(panel->q[0] + half * kHalfLine, act, step, sum);
      end_group<F>(*panel, half * kHalfRows, sum, act, g, acc);
    }
}

template <class F, int R, int T, bool kMin>
requires(kTilePanels == 1) inline void multiply_tile(const BlockPanel<kMin>* panel, int n_blocks, const std::byte* record,
                                                     float* acc) {
  static_assert(R == 1 && F::kGroup == 32);
  const ActRecord<T> act(record, F::kGroup);
  for (int row = 0; row < kPanelRows; row += kHalfRows) {
    FloatTile<T> total;
    load_sums<T>(acc + row, total);
    for (int b = 0; b < n_blocks; ++b) {
      IntTile<T> sum;
      start_tile<F>(act, b, sum);
      add_products<8>(panel->q[0] + row / kHalfRows * kHalfLine, act, b * 8, sum);
      memory_barrier();
      float32x4_t d[kRowVectors], m[kRowVectors];
      load_rows(panel->d[b] + row, d);
      if constexpr (kMin) load_rows(panel->m[b] + row, m);
      change_tile(total, [&](float32x4_t& v, int i, int j) {
        float32x4_t value = vmulq_f32(vcvtq_f32_s32(sum.v[i][j]), d[i]);
        if constexpr (kMin) value = vfmaq_f32(value, vreinterpretq_f32_s32(load_tokens(act.aux + b * T * 4, j)), m[i]);
        v = vfmaq_f32(v, value, vreinterpretq_f32_s32(load_tokens(act.scales + b * T * 4, j)));
      });
    }
    store_sums<T>(acc + row, total);
  }
}

template <class F, int R, int T>
requires(kTilePanels == 1) inline void multiply_tile(const FloatPanel* panel, int n_k, const std::byte* record, float* acc) {
  static_assert(R == 1);
  F32x16 sum[T];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) sum[t] = load(acc + t * 16);
  const float* x = reinterpret_cast<const float*>(record);
  const float(*row)[16] = panel->w;
  constexpr int kTogether = T % 4 == 0 ? 1 : T % 2 == 0 ? 2 : 4;  // k whose values fill whole registers
  for (; n_k >= kTogether; n_k -= kTogether, x += kTogether * T, row += kTogether) {
    PHIAL_UNROLL
    for (int k = 0; k < kTogether; ++k) {
      const F32x16 w = load(row[k]);
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) {
        const unsigned i = static_cast<unsigned>(k * T + t);
        const float32x4_t four = vld1q_f32(x + i / 4 * 4);
        sum[t] = {fma_lane(sum[t].a, w.a, four, i % 4), fma_lane(sum[t].b, w.b, four, i % 4),
                  fma_lane(sum[t].c, w.c, four, i % 4), fma_lane(sum[t].d, w.d, four, i % 4)};
      }
    }
  }
  for (int k = 0; k < n_k; ++k) {
    const F32x16 w = load(row[k]);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[t] = fma(w, splat(x[k * T + t]), sum[t]);
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) store(acc + t * 16, sum[t]);
}

#ifdef PHIAL_I8MM
/// Each two lines as 8 times 2 rows x 8 consecutive k.
template <class Panel>
requires requires(Panel panel) { panel.q; }
inline void arrange_lines(Panel& panel) {
  for (uint8_t* line = panel.q[0]; line < panel.q[0] + sizeof panel.q; line += 128) {
    const I32x16 a = load_line(line), b = load_line(line + 64);
    store_line(line, {vzip1q_s32(a.a, b.a), vzip2q_s32(a.a, b.a), vzip1q_s32(a.b, b.b), vzip2q_s32(a.b, b.b)});
    store_line(line + 64, {vzip1q_s32(a.c, b.c), vzip2q_s32(a.c, b.c), vzip1q_s32(a.d, b.d), vzip2q_s32(a.d, b.d)});
  }
}
#endif
