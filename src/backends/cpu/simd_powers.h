// Powers of two of lanes where the instruction set has no instructions for them; simd_avx512.h has. Included by the others.

inline F32x16 fraction(F32x16 x) { return sub(x, round_even(x)); }
/// a, of some 2^10, * 2^n for whole n <= 0, rounded once: the first product is a normal number.
inline F32x16 times_power(F32x16 a, F32x16 n) {
  const I32x16 exponent = add(to_i32(max(n, splat(-200.0f))), splat(100 + 127));
  return mul(mul(a, as_f32(shift_left<23>(exponent))), splat(0x1p-100f));
}
