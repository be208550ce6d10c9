// Products straight from packed lines, for few tokens: the sums and their order are those of the tile kernels.

/// Bytes ahead of the line being multiplied that are asked for, into the second-level cache: asked for into the first, lines are
/// evicted before they are used, and the core waits when its few slots for missing lines are taken.
constexpr int kPrefetchBytes = 24576;

/// Lines that are not read in order are asked for in order: the line ahead of `in_order` is.
inline I32x16 load_packed(const uint8_t* line, const uint8_t* in_order) {
  __builtin_prefetch(in_order + kPrefetchBytes, 0, 2);
  I32x16 v = load_line(line);
  keep(v);  // else each use of v loads the line again, and loads are what is short
  return v;
}
inline I32x16 load_packed(const uint8_t* line) { return load_packed(line, line); }

template <int T>
inline void add_scaled(I32x16 (&sum)[T], const I32x16 (&part)[T], const int32_t* scale) {
  const I32x16 s = load(scale);
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) sum[t] = add(sum[t], mul(part[t], s));
}

/// Blocks of 256 whose line i (of 8 per half) holds steps i, i + 8, i + 16 and i + 24 of the half, in sub-blocks of 16.
/// F::levels(lines, half, i, w) gives their levels. Many tokens take them two by two, so that the registers hold their sums.
template <class F, int T, class Scales>
inline void multiply_quarters(const uint8_t* lines, const Scales& scales, const ActRecord<T>& act, float* acc) {
  static_assert(F::kGroup % 128 == 0);
  constexpr int at_once = kF32x16Registers >= 32 && 5 * T + 4 > kF32x16Registers ? 2 : 4;
  I32x16 sum[T];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) sum[t] = zero_i32();
  for (int half = 0; half < 2; ++half) {
    for (int pass = 0; pass < 2; ++pass) {
      PHIAL_UNROLL
      for (int first = 0; first < 4; first += at_once) {
        I32x16 part[at_once][T];
        PHIAL_UNROLL
        for (int j = 0; j < at_once; ++j) PHIAL_UNROLL
        for (int t = 0; t < T; ++t) part[j][t] = F::kOffset ? act.aux_dword(half * 8 + 2 * (first + j) + pass, t) : zero_i32();
        PHIAL_UNROLL
        for (int i = 0; i < 4; ++i) {
          I32x16 w[4];
          F::levels(lines, half, pass * 4 + i, w);
          PHIAL_UNROLL
          for (int j = 0; j < at_once; ++j) PHIAL_UNROLL
          for (int t = 0; t < T; ++t)
            part[j][t] = dot_bytes<false>(part[j][t], w[first + j], act.values(half * 32 + pass * 4, (first + j) * 8 + i, t));
        }
        PHIAL_UNROLL
        for (int j = 0; j < at_once; ++j) add_scaled<T>(sum, part[j], scales.scale[half * 8 + 2 * (first + j) + pass]);
      }
    }
    if ((half + 1) * 128 % F::kGroup != 0) continue;
    end_group<F>(scales, sum, act, half * 128 / F::kGroup, acc, 16);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[t] = zero_i32();
  }
}
