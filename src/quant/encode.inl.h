// The search for the scales of a block, included once per instruction set inside a namespace and a target region.
//
// One lane holds one block and nothing crosses lanes; there is no fma. So the result does not depend on kLanes.
// Blocks are first scaled by a power of two to a maximum of [1, 2): no square overflows or vanishes.
//
// Sub-block: minimise sum w (x - s q - b)^2 over s, b and integer levels q. For given levels the best (s, b) are the weighted
// least squares, and the error they leave is S_xx - gain with gain from the sums alone; so a candidate costs one pass.
// Candidates are grids around the range of the values; the best one is improved by requantizing and refitting (each step
// lowers the error). Super-block: integer scales near s / d are tried with the levels that suit them, then d (and dmin) are
// refitted over the whole super-block, and what gave the least error with the rounded scales is kept.

constexpr int kLanes = PHIAL_ENCODE_LANES;
typedef float F __attribute__((vector_size(4 * PHIAL_ENCODE_LANES)));
typedef int32_t I __attribute__((vector_size(4 * PHIAL_ENCODE_LANES)));
#define PHIAL_INLINE static inline __attribute__((always_inline))

PHIAL_INLINE F all(float v) { return F{} + v; }
PHIAL_INLINE F select(I condition, F yes, F no) { return condition ? yes : no; }
#ifdef PHIAL_ENCODE_MIN
// One instruction each, that the compiler does not find by itself; the same values.
PHIAL_INLINE F min(F a, F b) { return PHIAL_ENCODE_MIN(a, b); }
PHIAL_INLINE F max(F a, F b) { return PHIAL_ENCODE_MAX(a, b); }
PHIAL_INLINE F round(F a) { return PHIAL_ENCODE_ROUND(a); }
#else
PHIAL_INLINE F min(F a, F b) { return a < b ? a : b; }  // b when a is NaN
PHIAL_INLINE F max(F a, F b) { return a > b ? a : b; }
// To the nearest integer, ties to even; |a| < 2^22.
PHIAL_INLINE F round(F a) { return (a + 0x1.8p23f) - 0x1.8p23f; }
#endif
PHIAL_INLINE F abs(F a) { return reinterpret_cast<F>(reinterpret_cast<I>(a) & 0x7FFFFFFF); }
PHIAL_INLINE F clamp(F a, float low, float high) { return min(max(a, all(low)), all(high)); }
PHIAL_INLINE F level(F a, float low, float high) { return round(clamp(a, low, high)); }
/// 1 / a, or 0 where a is 0.
PHIAL_INLINE F inverse(F a) { return select(a != 0.0f, 1.0f / a, F{}); }

/// a * up as f16: its bits, and the value times down. Never an infinity; never 0 unless a is 0.
PHIAL_INLINE F to_f16(F a, F up, F down, uint16_t* bits) {
  F value = clamp(a * up, -65504.0f, 65504.0f);
  for (int l = 0; l < kLanes; ++l) {
    uint16_t h = f32_to_f16(value[l]);
    if ((h & 0x7FFF) == 0 && a[l] != 0.0f) h = static_cast<uint16_t>(h | 1);
    if (bits) bits[l] = h;
    value[l] = f16_to_f32(h);
  }
  return value * down;
}

/// kLanes blocks of N values, transposed: value i of all blocks together.
template <int N>
struct Batch {
  F x[N];      // scaled by `down`
  F w[N];      // importance, at most 1 and positive
  F up, down;  // powers of two: the block = x * up

  void load(const float* const* blocks, const float* const* importance) {
    for (int i = 0; i < N; ++i)
      for (int l = 0; l < kLanes; ++l) x[i][l] = blocks[l][i];
    F largest{};
    for (int i = 0; i < N; ++i) largest = max(largest, abs(x[i]));
    // The exponent field alone is a power of two; inverse by its complement. Both stay normal numbers.
    I exponent = reinterpret_cast<I>(largest) >> 23;
    exponent = exponent < 1 ? I{} + 1 : exponent > 253 ? I{} + 253 : exponent;
    up = reinterpret_cast<F>(exponent << 23);
    down = reinterpret_cast<F>((254 - exponent) << 23);
    for (int i = 0; i < N; ++i) x[i] *= down;

    if (!importance[0]) {
      for (int i = 0; i < N; ++i) w[i] = all(1.0f);
      return;
    }
    for (int i = 0; i < N; ++i)
      for (int l = 0; l < kLanes; ++l) w[i][l] = importance[l][i];
    F heaviest{};
    for (int i = 0; i < N; ++i) heaviest = max(heaviest, w[i]);
    const F norm = inverse(heaviest);
    // The floor keeps columns that were never active from taking any value.
    for (int i = 0; i < N; ++i) w[i] = select(heaviest > 0.0f, max(w[i] * norm, all(1e-6f)), all(1.0f));
  }
};

/// Weighted sums over a sub-block for given levels.
struct LevelSums {
  F l{}, l2{}, xl{};
};
/// The same that do not depend on the levels.
struct ValueSums {
  F w{}, x{}, xx{};
};

template <int N>
PHIAL_INLINE ValueSums sum_values(const F* x, const F* w) {
  ValueSums s;
  for (int i = 0; i < N; ++i) {
    const F t = w[i] * x[i];
    s.w += w[i];
    s.x += t;
    s.xx += t * x[i];
  }
  return s;
}

/// Sums for the levels round(x * scale + shift) in [low, high].
template <int N>
PHIAL_INLINE LevelSums sum_levels(const F* x, const F* w, F scale, F shift, float low, float high) {
  LevelSums s;
  for (int i = 0; i < N; ++i) {
    const F q = level(x[i] * scale + shift, low, high);
    const F t = w[i] * q;
    s.l += t;
    s.l2 += t * q;
    s.xl += t * x[i];
  }
  return s;
}

/// How much of S_xx the values s * q + b explain.
PHIAL_INLINE F gain_of(const ValueSums& v, const LevelSums& q, F s, F b) {
  return 2.0f * (s * q.xl + b * v.x) - s * s * q.l2 - 2.0f * s * b * q.l - b * b * v.w;
}
PHIAL_INLINE F gain_of(const LevelSums& q, F s) { return 2.0f * s * q.xl - s * s * q.l2; }

// Gains that differ by less are equal, and the earlier candidate stays: the plain one of a block of equal values.
constexpr float kClearly = 1.0f + 0x1p-21f;

struct Line {
  F s{}, b{}, gain{};

  PHIAL_INLINE void keep_better(Line& best, const Line& other) {
    const I better = other.gain > best.gain * kClearly;
    best.s = select(better, other.s, best.s);
    best.b = select(better, other.b, best.b);
    best.gain = select(better, other.gain, best.gain);
  }
};

/// Least squares for x ~ s * q + b with s >= 0 and b at most b_max.
PHIAL_INLINE Line fit_line(const ValueSums& v, const LevelSums& q, F b_max) {
  Line fit;
  const F determinant = v.w * q.l2 - q.l * q.l;
  const F safe = inverse(select(determinant > 1e-6f * v.w * q.l2, determinant, F{}));
  fit.s = (v.w * q.xl - v.x * q.l) * safe;
  fit.b = (q.l2 * v.x - q.l * q.xl) * safe;
  const I outside = (fit.b > b_max) | (safe == 0.0f);
  fit.s = select(outside, (q.xl - b_max * q.l) * inverse(q.l2), fit.s);
  fit.b = select(outside, b_max, fit.b);
  fit.s = max(fit.s, F{});
  fit.gain = gain_of(v, q, fit.s, fit.b);
  return fit;
}

/// The best line through a sub-block, x shifted to a minimum of 0 and a maximum of `range`.
template <int N>
PHIAL_INLINE Line search_line(const F* x, const F* w, const ValueSums& v, F range, int levels, F b_max) {
  const auto high = static_cast<float>(levels - 1);
  Line best;
  best.b = min(v.x / v.w, b_max);
  best.gain = gain_of(v, LevelSums{}, F{}, best.b);
  const F unit = inverse(range);
  constexpr float kClippedBelow[] = {0.0f, 0.04f, 0.08f, 0.14f};  // shares of the range
  for (float low : kClippedBelow)
    for (int k = 0; k <= 12; ++k) {
      const auto step = static_cast<float>(k <= 9 ? k : 9 - k);
      const F scale = unit * (high + (levels <= 4 ? 0.25f : 0.5f) * step);
      Line::keep_better(best, fit_line(v, sum_levels<N>(x, w, scale, all(-low * high), 0.0f, high), b_max));
    }
  for (int k = 0; k < 2; ++k) {
    const F scale = inverse(best.s);
    Line::keep_better(best, fit_line(v, sum_levels<N>(x, w, scale, -best.b * scale, 0.0f, high), b_max));
  }
  return best;
}

/// The best scale of either sign for x ~ s * q, q in [-offset, levels - offset).
template <int N>
PHIAL_INLINE F search_scale(const F* x, const F* w, F largest, int levels, int offset) {
  const auto low = static_cast<float>(-offset), high = static_cast<float>(levels - offset - 1);
  const F unit = inverse(largest);
  F best{}, best_gain{};
  const auto try_scale = [&](F scale) {
    const LevelSums q = sum_levels<N>(x, w, scale, F{}, low, high);
    const F s = q.xl * inverse(q.l2);
    const F gain = s * q.xl;
    const I better = gain > best_gain * kClearly;
    best = select(better, s, best);
    best_gain = select(better, gain, best_gain);
  };
  for (float sign : {1.0f, -1.0f})
    for (int k = 0; k <= 30; ++k) {
      const int step = k <= 20 ? k : 20 - k;
      try_scale(unit * (sign * static_cast<float>(offset) * (1.0f + 0.03f * static_cast<float>(step))));
    }
  for (int k = 0; k < 2; ++k) try_scale(inverse(best));
  return best;
}

// --- one scale per block: Q4_0, Q5_0, Q8_0 ---

template <DType D>
void encode_scaled(const Batch<BlockFormat<D>::kSub>& in, typename BlockFormat<D>::Block* const* out) {
  using Format = BlockFormat<D>;
  constexpr int N = Format::kSub;
  constexpr bool kFine = Format::kLevels == 256;  // Q8_0: -127..127, and the range decides
  constexpr float kLow = kFine ? -127.0f : -Format::kOffset;
  constexpr float kHigh = Format::kLevels - Format::kOffset - 1;
  F largest{};
  for (int i = 0; i < N; ++i) largest = max(largest, abs(in.x[i]));
  F s = kFine ? largest * (1.0f / 127.0f) : search_scale<N>(in.x, in.w, largest, Format::kLevels, Format::kOffset);

  F best{}, best_gain = all(-1.0f);
  for (int k = 0; k < 3; ++k) {
    s = to_f16(s, in.up, in.down, nullptr);
    const LevelSums q = sum_levels<N>(in.x, in.w, inverse(s), F{}, kLow, kHigh);
    const F gain = gain_of(q, s);
    const I better = gain > best_gain;
    best = select(better, s, best);
    best_gain = select(better, gain, best_gain);
    s = q.xl * inverse(q.l2);
  }
  uint16_t d[kLanes];
  to_f16(best, in.up, in.down, d);
  const F scale = inverse(best);
  uint8_t levels[kLanes][N];
  for (int i = 0; i < N; ++i) {
    const I q = __builtin_convertvector(level(in.x[i] * scale, kLow, kHigh) + static_cast<float>(Format::kOffset), I);
    for (int l = 0; l < kLanes; ++l) levels[l][i] = static_cast<uint8_t>(q[l]);
  }
  for (int l = 0; l < kLanes; ++l)
    if (out[l]) Format::pack(*out[l], d[l], levels[l]);
}

// --- scale and minimum per block: Q4_1, Q5_1 ---

template <DType D>
void encode_scaled_min(const Batch<BlockFormat<D>::kSub>& in, typename BlockFormat<D>::Block* const* out) {
  using Format = BlockFormat<D>;
  constexpr int N = Format::kSub;
  constexpr float kHigh = Format::kLevels - 1;
  F lowest = in.x[0], highest = in.x[0];
  for (int i = 1; i < N; ++i) {
    lowest = min(lowest, in.x[i]);
    highest = max(highest, in.x[i]);
  }
  F x[N];
  for (int i = 0; i < N; ++i) x[i] = in.x[i] - lowest;
  const ValueSums v = sum_values<N>(x, in.w);
  const F no_limit = all(1e30f);
  Line line = search_line<N>(x, in.w, v, highest - lowest, Format::kLevels, no_limit);

  Line best;
  best.gain = all(-1e30f);
  for (int k = 0; k < 3; ++k) {
    line.s = to_f16(line.s, in.up, in.down, nullptr);
    line.b = to_f16(line.b + lowest, in.up, in.down, nullptr) - lowest;
    for (int twice = 0; twice < 2; ++twice) {
      const F scale = inverse(line.s);
      const LevelSums q = sum_levels<N>(x, in.w, scale, -line.b * scale, 0.0f, kHigh);
      line.gain = gain_of(v, q, line.s, line.b);
      Line::keep_better(best, line);
      if (twice) {
        line = fit_line(v, q, no_limit);
      } else {  // the best minimum for the rounded scale
        line.b = to_f16((v.x - line.s * q.l) / v.w + lowest, in.up, in.down, nullptr) - lowest;
      }
    }
  }
  uint16_t d[kLanes], m[kLanes];
  to_f16(best.s, in.up, in.down, d);
  to_f16(best.b + lowest, in.up, in.down, m);
  const F scale = inverse(best.s);
  uint8_t levels[kLanes][N];
  for (int i = 0; i < N; ++i) {
    const I q = __builtin_convertvector(level((x[i] - best.b) * scale, 0.0f, kHigh), I);
    for (int l = 0; l < kLanes; ++l) levels[l][i] = static_cast<uint8_t>(q[l]);
  }
  for (int l = 0; l < kLanes; ++l)
    if (out[l]) Format::pack(*out[l], d[l], m[l], levels[l]);
}

// --- super-blocks with a scale per sub-block: Q3_K, Q6_K ---

template <DType D>
void encode_super_scaled(const Batch<256>& in, typename BlockFormat<D>::Block* const* out) {
  using Format = BlockFormat<D>;
  constexpr int N = Format::kSub, kSubs = 256 / N;
  constexpr float kLow = -Format::kOffset, kHigh = Format::kLevels - Format::kOffset - 1;
  F s[kSubs], largest{}, extreme{};
  for (int j = 0; j < kSubs; ++j) {
    F sub_largest{};
    for (int i = 0; i < N; ++i) sub_largest = max(sub_largest, abs(in.x[j * N + i]));
    s[j] = search_scale<N>(in.x + j * N, in.w + j * N, sub_largest, Format::kLevels, Format::kOffset);
    const I larger = abs(s[j]) > largest;
    extreme = select(larger, s[j], extreme);
    largest = select(larger, abs(s[j]), largest);
  }
  // The negative side reaches further by one.
  F d = extreme * (1.0f / Format::kMinScale);
  F best_d{}, best_gain = all(-1.0f), best_scale[kSubs] = {};
  for (int round_trip = 0; round_trip < 2; ++round_trip) {
    d = to_f16(d, in.up, in.down, nullptr);
    const F inverse_d = inverse(d);
    F total{}, numerator{}, denominator{}, scale[kSubs];
    for (int j = 0; j < kSubs; ++j) {
      const F near = level(s[j] * inverse_d, Format::kMinScale, Format::kMaxScale);
      F chosen{}, chosen_gain{}, chosen_xl{}, chosen_l2{};
      for (float step : {0.0f, -1.0f, 1.0f}) {
        const F candidate = clamp(near + step, Format::kMinScale, Format::kMaxScale);
        const F value = d * candidate;
        const LevelSums q = sum_levels<N>(in.x + j * N, in.w + j * N, inverse(value), F{}, kLow, kHigh);
        const F gain = gain_of(q, value);
        const I better = gain > chosen_gain;
        chosen = select(better, candidate, chosen);
        chosen_gain = select(better, gain, chosen_gain);
        chosen_xl = select(better, q.xl, chosen_xl);
        chosen_l2 = select(better, q.l2, chosen_l2);
      }
      scale[j] = chosen;
      total += chosen_gain;
      numerator += chosen * chosen_xl;
      denominator += chosen * chosen * chosen_l2;
    }
    const I better = total > best_gain;
    best_d = select(better, d, best_d);
    best_gain = select(better, total, best_gain);
    for (int j = 0; j < kSubs; ++j) best_scale[j] = select(better, scale[j], best_scale[j]);
    d = numerator * inverse(denominator);
  }
  uint16_t bits[kLanes];
  to_f16(best_d, in.up, in.down, bits);
  uint8_t levels[kLanes][256];
  int8_t scales[kLanes][kSubs];
  for (int j = 0; j < kSubs; ++j) {
    const I integer = __builtin_convertvector(best_scale[j], I);
    for (int l = 0; l < kLanes; ++l) scales[l][j] = static_cast<int8_t>(integer[l]);
    const F scale = inverse(best_d * best_scale[j]);
    for (int i = j * N; i < j * N + N; ++i) {
      const I q = __builtin_convertvector(level(in.x[i] * scale, kLow, kHigh) + static_cast<float>(Format::kOffset), I);
      for (int l = 0; l < kLanes; ++l) levels[l][i] = static_cast<uint8_t>(q[l]);
    }
  }
  for (int l = 0; l < kLanes; ++l)
    if (out[l]) Format::pack(*out[l], bits[l], scales[l], levels[l]);
}

// --- super-blocks with a scale and a minimum per sub-block: Q2_K, Q4_K, Q5_K ---

template <DType D>
void encode_super_min(Batch<256>& in, typename BlockFormat<D>::Block* const* out) {
  using Format = BlockFormat<D>;
  constexpr int N = Format::kSub, kSubs = 256 / N;
  constexpr float kHigh = Format::kLevels - 1, kTop = Format::kMaxScale;
  // x of sub-block j becomes x - lowest[j], in place; b is the line's offset for that.
  F lowest[kSubs], s[kSubs], b[kSubs], largest_s{}, largest_m{};
  ValueSums v[kSubs];
  for (int j = 0; j < kSubs; ++j) {
    F* x = in.x + j * N;
    const F* w = in.w + j * N;
    F highest = x[0];
    lowest[j] = min(x[0], F{});
    for (int i = 1; i < N; ++i) {
      lowest[j] = min(lowest[j], x[i]);
      highest = max(highest, x[i]);
    }
    for (int i = 0; i < N; ++i) x[i] -= lowest[j];
    v[j] = sum_values<N>(x, w);
    const Line line = search_line<N>(x, w, v[j], max(highest - lowest[j], F{}), Format::kLevels, -lowest[j]);
    s[j] = line.s;
    b[j] = line.b;
    largest_s = max(largest_s, s[j]);
    largest_m = max(largest_m, -(b[j] + lowest[j]));
  }
  F d = largest_s * (1.0f / kTop), dmin = largest_m * (1.0f / kTop);
  F best_d{}, best_dmin{}, best_gain = all(-1e30f), best_scale[kSubs] = {}, best_min[kSubs] = {};
  for (int round_trip = 0; round_trip < 3; ++round_trip) {
    d = to_f16(d, in.up, in.down, nullptr);
    dmin = to_f16(dmin, in.up, in.down, nullptr);
    const F inverse_d = inverse(d), inverse_dmin = inverse(dmin);
    F total{}, aa{}, ab{}, bb{}, xa{}, xb{}, scale[kSubs], minimum[kSubs];
    for (int j = 0; j < kSubs; ++j) {
      const F* x = in.x + j * N;
      const F* w = in.w + j * N;
      const F near = level(s[j] * inverse_d, 0.0f, kTop);
      F chosen{}, chosen_min{}, chosen_gain = all(-1e30f);
      LevelSums chosen_q;
      for (float step : {0.0f, -1.0f, 1.0f}) {
        const F candidate = clamp(near + step, 0.0f, kTop);
        const F value = d * candidate, scale_up = inverse(value);
        F offset = b[j];
        for (int twice = 0; twice < 2; ++twice) {
          const F m = level(-(offset + lowest[j]) * inverse_dmin, 0.0f, kTop);
          offset = -(dmin * m) - lowest[j];
          const LevelSums q = sum_levels<N>(x, w, scale_up, -offset * scale_up, 0.0f, kHigh);
          const F gain = gain_of(v[j], q, value, offset);
          const I better = gain > chosen_gain;
          chosen = select(better, candidate, chosen);
          chosen_min = select(better, m, chosen_min);
          chosen_gain = select(better, gain, chosen_gain);
          chosen_q.l = select(better, q.l, chosen_q.l);
          chosen_q.l2 = select(better, q.l2, chosen_q.l2);
          chosen_q.xl = select(better, q.xl, chosen_q.xl);
          offset = (v[j].x - value * q.l) / v[j].w;
        }
      }
      scale[j] = chosen;
      minimum[j] = chosen_min;
      total += chosen_gain;
      // Sums for the refit of (d, dmin), in the values before the shift.
      const F xl = chosen_q.xl + lowest[j] * chosen_q.l, xw = v[j].x + lowest[j] * v[j].w;
      aa += chosen * chosen * chosen_q.l2;
      ab += chosen * chosen_min * chosen_q.l;
      bb += chosen_min * chosen_min * v[j].w;
      xa += chosen * xl;
      xb += chosen_min * xw;
    }
    const I better = total > best_gain;
    best_d = select(better, d, best_d);
    best_dmin = select(better, dmin, best_dmin);
    best_gain = select(better, total, best_gain);
    for (int j = 0; j < kSubs; ++j) {
      best_scale[j] = select(better, scale[j], best_scale[j]);
      best_min[j] = select(better, minimum[j], best_min[j]);
    }
    // x ~ d * A - dmin * B with A = scale * q, B = min.
    const F determinant = aa * bb - ab * ab;
    const F safe = inverse(select(determinant > 1e-6f * aa * bb, determinant, F{}));
    const I solved = safe != 0.0f;
    d = select(solved, (xa * bb - xb * ab) * safe, xa * inverse(aa));
    dmin = select(solved, (xa * ab - xb * aa) * safe, dmin);
    d = max(d, F{});
    dmin = max(dmin, F{});
  }
  uint16_t bits[kLanes], min_bits[kLanes];
  to_f16(best_d, in.up, in.down, bits);
  to_f16(best_dmin, in.up, in.down, min_bits);
  uint8_t levels[kLanes][256], scales[kLanes][kSubs], mins[kLanes][kSubs];
  for (int j = 0; j < kSubs; ++j) {
    const I integer = __builtin_convertvector(best_scale[j], I), integer_min = __builtin_convertvector(best_min[j], I);
    for (int l = 0; l < kLanes; ++l) {
      scales[l][j] = static_cast<uint8_t>(integer[l]);
      mins[l][j] = static_cast<uint8_t>(integer_min[l]);
    }
    const F scale = inverse(best_d * best_scale[j]);
    const F shift = (best_dmin * best_min[j] + lowest[j]) * scale;
    for (int i = j * N; i < j * N + N; ++i) {
      const I q = __builtin_convertvector(level(in.x[i] * scale + shift, 0.0f, kHigh), I);
      for (int l = 0; l < kLanes; ++l) levels[l][i] = static_cast<uint8_t>(q[l]);
    }
  }
  for (int l = 0; l < kLanes; ++l)
    if (out[l]) Format::pack(*out[l], bits[l], min_bits[l], scales[l], mins[l], levels[l]);
}

template <DType D>
void encode_format(const float* rows, int64_t n_blocks, int64_t row_blocks, const float* importance, std::byte* bytes) {
  using Format = BlockFormat<D>;
  constexpr bool kSuper = Format::kFamily == BlockFamily::super_scaled || Format::kFamily == BlockFamily::super_min;
  constexpr int N = kSuper ? 256 : Format::kSub;
  auto* blocks = reinterpret_cast<typename Format::Block*>(bytes);
  for (int64_t first = 0; first < n_blocks; first += kLanes) {
    const float *in[kLanes], *weights[kLanes];
    typename Format::Block* out[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const bool used = first + l < n_blocks;
      const int64_t i = used ? first + l : first;  // lanes beyond the end repeat a block, for nobody
      in[l] = rows + i * N;
      weights[l] = importance ? importance + i % row_blocks * N : nullptr;
      out[l] = used ? blocks + i : nullptr;
    }
    Batch<N> batch;
    batch.load(in, weights);
    if constexpr (Format::kFamily == BlockFamily::scaled) encode_scaled<D>(batch, out);
    if constexpr (Format::kFamily == BlockFamily::scaled_min) encode_scaled_min<D>(batch, out);
    if constexpr (Format::kFamily == BlockFamily::super_scaled) encode_super_scaled<D>(batch, out);
    if constexpr (Format::kFamily == BlockFamily::super_min) encode_super_min<D>(batch, out);
  }
}

void encode(DType dtype, const float* rows, int64_t n_rows, int64_t row_length, const float* importance, std::byte* out) {
  const int64_t row_blocks = row_length / format_info(dtype).block_values;
  const int64_t n_blocks = n_rows * row_blocks;
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (format_has_blocks<decltype(tag)::value>)
      encode_format<decltype(tag)::value>(rows, n_blocks, row_blocks, importance, out);
  });
}

#undef PHIAL_INLINE
