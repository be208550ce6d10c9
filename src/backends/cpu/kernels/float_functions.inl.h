// ops/numerics.h in 16 lanes: the same steps, so the same bits.

struct AddLanes {
  F32x16 operator()(F32x16 a, F32x16 b) const { return add(a, b); }
};
struct MaxLanes {
  F32x16 operator()(F32x16 a, F32x16 b) const { return max(a, b); }
};

/// Lane i: the sum, or the maximum, of row i's lanes, for n rows.
inline F32x16 sums_of_rows(const float (*rows)[16], int n) {
  if constexpr (kTreesOfRows)
    if (n > kTreesOfRows) return tree_of_rows(rows, AddLanes{});
  alignas(64) float all[16] = {};
  for (int i = 0; i < n; ++i) all[i] = sum_lanes(load(rows[i]));
  return load(all);
}
inline F32x16 max_of_rows(const float (*rows)[16], int n) {
  if constexpr (kTreesOfRows)
    if (n > kTreesOfRows) return tree_of_rows(rows, MaxLanes{});
  alignas(64) float all[16] = {};
  for (int i = 0; i < n; ++i) all[i] = max_lanes(load(rows[i]));
  return load(all);
}

/// exp for x <= 0, the same bits: nothing overflows.
inline F32x16 exp_not_positive(F32x16 x) {
  const F32x16 t = fma(x, splat(kLog2E), splat(kRoundToInt));
  const F32x16 n = sub(t, splat(kRoundToInt));
  F32x16 r = fma(n, splat(-kLn2High), x);
  r = fma(n, splat(-kLn2Low), r);
  F32x16 p = fma(splat(kExpC6), r, splat(kExpC5));
  p = fma(p, r, splat(kExpC4));
  p = fma(p, r, splat(kExpC3));
  p = fma(p, r, splat(kExpC2));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  const F32x16 power = as_f32(add(shift_left<23>(as_i32(t)), splat(0x3F800000)));
  return select(less(x, splat(kExpLow)), zero_f32(), mul(p, power));
}

inline F32x16 exp(F32x16 x) { return select(less(splat(kExpHigh), x), splat(__builtin_inff()), exp_not_positive(x)); }

inline F32x16 exp2_not_positive(F32x16 x) {
  const F32x16 t = add(x, splat(kRoundToInt));
  const F32x16 r = sub(x, sub(t, splat(kRoundToInt)));
  F32x16 p = fma(splat(kExp2C5), r, splat(kExp2C4));
  p = fma(p, r, splat(kExp2C3));
  p = fma(p, r, splat(kExp2C2));
  p = fma(p, r, splat(kExp2C1));
  p = fma(p, r, splat(1.0f));
  return select(less(x, splat(kExp2Low)), zero_f32(), as_f32(add(as_i32(p), shift_left<23>(as_i32(t)))));
}

/// Where x is -infinity, anything.
inline F32x16 attention_weight(F32x16 x) {
  const F32x16 r = fraction(x);
  F32x16 p = fma(splat(kWeightC3), r, splat(kWeightC2));
  p = fma(p, r, splat(kWeightC1));
  p = fma(p, r, splat(kWeightUnit));
  return times_power(p, sub(x, r));
}

inline F32x16 silu(F32x16 x) { return div(x, add(splat(1.0f), exp(sub(splat(-0.0f), x)))); }

inline F32x16 tanh(F32x16 x) {
  const F32x16 e = exp_not_positive(mul(splat(-2.0f), abs(x)));
  const F32x16 y = div(sub(splat(1.0f), e), add(splat(1.0f), e));
  return select(less(x, zero_f32()), sub(splat(-0.0f), y), y);
}
