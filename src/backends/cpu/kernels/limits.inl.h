// What the instruction set can do at most: loops that only multiply, and one that only reads.

constexpr int kPeakSums = kF32x16Registers >= 32 ? 12 : 6;  // that lie in registers

/// n times 24 products of 16 lanes with 4 int8 multiplications each: 24 * 128 operations.
inline int32_t int8_peak(int64_t n) {
  I32x16 sum[kPeakSums];
  PHIAL_UNROLL
  for (int i = 0; i < kPeakSums; ++i) sum[i] = splat(static_cast<int32_t>(n) + i);
  I32x16 w[2] = {splat(0x01020304), splat(0x04030201)};
  for (; n > 0; --n) {
    keep(w[0]), keep(w[1]);
    PHIAL_UNROLL
    for (int done = 0; done < 24; done += 2 * kPeakSums) {
      PHIAL_UNROLL
      for (int i = 0; i < kPeakSums; ++i) sum[i] = dot_bytes<false>(sum[i], w[0], w[1]);
      PHIAL_UNROLL
      for (int i = 0; i < kPeakSums; ++i) sum[i] = dot_bytes<false>(sum[i], w[1], w[0]);
    }
  }
  I32x16 total = sum[0];
  PHIAL_UNROLL
  for (int i = 1; i < kPeakSums; ++i) total = add(total, sum[i]);
  int32_t lanes[16];
  store(lanes, total);
  return lanes[0];
}

/// n times 24 fma of 16 lanes: 24 * 32 operations.
inline float f32_peak(int64_t n) {
  F32x16 sum[kPeakSums];
  PHIAL_UNROLL
  for (int i = 0; i < kPeakSums; ++i) sum[i] = splat(static_cast<float>(i));
  const F32x16 a = splat(0.5f), b = splat(static_cast<float>(n));
  for (; n > 0; --n) {
    PHIAL_UNROLL
    for (int done = 0; done < 24; done += kPeakSums) {
      PHIAL_UNROLL
      for (int i = 0; i < kPeakSums; ++i) sum[i] = fma(sum[i], a, b);
    }
  }
  F32x16 total = sum[0];
  PHIAL_UNROLL
  for (int i = 1; i < kPeakSums; ++i) total = add(total, sum[i]);
  return sum_lanes(total);
}

/// Reads n_bytes (a multiple of 256), in order.
inline int32_t read_peak(const uint8_t* p, int64_t n_bytes) {
  I32x16 a = zero_i32(), b = a, c = a, d = a;
  for (int64_t i = 0; i < n_bytes; i += 256) {
    __builtin_prefetch(p + i + 2048);
    __builtin_prefetch(p + i + 2048 + 64);
    __builtin_prefetch(p + i + 2048 + 128);
    __builtin_prefetch(p + i + 2048 + 192);
    a = add(a, load_line(p + i)), b = add(b, load_line(p + i + 64));
    c = add(c, load_line(p + i + 128)), d = add(d, load_line(p + i + 192));
  }
  int32_t lanes[16];
  store(lanes, add(add(a, b), add(c, d)));
  return lanes[0];
}

inline LimitKernels limit_kernels() { return {int8_peak, f32_peak, read_peak}; }
