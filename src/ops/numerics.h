// The float functions every kernel shares, in plain C++: exp, silu, tanh, 16-lane sums. docs/numerics.md is their text;
// vector kernels repeat these steps lane by lane and give the same bits. No contraction: fma only where written.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace phial {

inline constexpr int kLanes = 16;          // of a float sum
inline constexpr int kSplitTokens = 1024;  // attention: a new softmax begins at multiples of this position

// exp(x) = 2^n * p(r), n = x / ln 2 rounded to nearest even, r = x - n ln 2 in two parts, |r| <= ln 2 / 2.
// p is a degree 6 minimax polynomial (relative error 0.05 ulp before rounding); results are within 1 ulp.
// Below kExpLow the result is 0 (it would be subnormal), above kExpHigh it is infinite.
inline constexpr float kExpLow = -87.33654f;
inline constexpr float kExpHigh = 88.376f;
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2High = 0x1.62e4p-1f;  // few bits, so that n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;
inline constexpr float kRoundToInt = 0x1.8p23f;  // adding it leaves the integer in the low mantissa bits
inline constexpr float kExpC2 = 0x1.fffffcp-2f, kExpC3 = 0x1.555492p-3f, kExpC4 = 0x1.5558bp-5f, kExpC5 = 0x1.123988p-7f,
                       kExpC6 = 0x1.6a4ce4p-10f;

inline float exp_f32(float x) {
  if (x < kExpLow) return 0;
  if (x > kExpHigh) return std::numeric_limits<float>::infinity();
  const float t = std::fma(x, kLog2E, kRoundToInt);
  const float n = t - kRoundToInt;
  float r = std::fma(n, -kLn2High, x);
  r = std::fma(n, -kLn2Low, r);
  float p = std::fma(kExpC6, r, kExpC5);
  p = std::fma(p, r, kExpC4);
  p = std::fma(p, r, kExpC3);
  p = std::fma(p, r, kExpC2);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  uint32_t bits;
  __builtin_memcpy(&bits, &t, 4);
  bits = (bits << 23) + 0x3F800000u;  // 2^n
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return p * power;
}

// 2^x for x <= 0: x = n + r, n the nearest integer, |r| <= 1/2, p(r) of degree 5 within 1.6e-7 and 1 at 0; n is
// added to the exponent. 0 below kExp2Low.
inline constexpr float kExp2Low = -125.0f;
inline constexpr float kExp2C1 = 0x1.62e428p-1f, kExp2C2 = 0x1.ebf918p-3f, kExp2C3 = 0x1.c6b6e4p-5f, kExp2C4 = 0x1.3d0c52p-7f,
                       kExp2C5 = 0x1.5c08e6p-10f;

inline float exp2_not_positive(float x) {
  if (x < kExp2Low) return 0;
  const float t = x + kRoundToInt;
  const float r = x - (t - kRoundToInt);
  float p = std::fma(kExp2C5, r, kExp2C4);
  p = std::fma(p, r, kExp2C3);
  p = std::fma(p, r, kExp2C2);
  p = std::fma(p, r, kExp2C1);
  p = std::fma(p, r, 1.0f);
  uint32_t bits, n;
  __builtin_memcpy(&bits, &p, 4);
  __builtin_memcpy(&n, &t, 4);
  bits += n << 23;
  __builtin_memcpy(&p, &bits, 4);
  return p;
}

inline float silu_f32(float x) { return x / (1.0f + exp_f32(-x)); }

inline float tanh_f32(float x) {
  const float e = exp_f32(-2.0f * std::fabs(x));
  return std::copysign((1.0f - e) / (1.0f + e), x);
}

/// A sum in 16 lanes: value i of a run goes to lane i % 16; total() adds the lanes as a tree.
struct LaneSum {
  float lane[kLanes] = {};

  float total() const {
    float s[kLanes];
    for (int i = 0; i < 8; ++i) s[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; ++i) s[i] = s[i] + s[i + 4];
    for (int i = 0; i < 2; ++i) s[i] = s[i] + s[i + 2];
    return s[0] + s[1];
  }
};

/// Groups whose largest magnitude is below this quantize to zeros: 127 / amax stays finite.
inline constexpr float kSmallestGroup = 1e-30f;

inline float largest_magnitude(const float* x, int64_t n) {
  float amax = 0;
  for (int64_t i = 0; i < n; ++i) amax = std::fmax(amax, std::fabs(x[i]));
  return amax;
}
/// x rounded to nearest even, for small integers.
template <typename Int>
inline Int rounded_to(float x) {
  return static_cast<Int>(std::bit_cast<uint32_t>(x + kRoundToInt));
}

/// Quantization of a group of n values to integers of at most `limit`: q = x * (limit / amax), rounded to nearest even. Returns
/// the scale amax / limit.
template <typename Int>
inline float quantize_to(float limit, const float* x, int64_t n, Int* q) {
  const float amax = largest_magnitude(x, n);
  const float inverse = amax < kSmallestGroup ? 0.0f : limit / amax;
  for (int64_t i = 0; i < n; ++i) q[i] = rounded_to<Int>(x[i] * inverse);
  return amax / limit;
}
inline float quantize_group(const float* x, int64_t n, int8_t* q) { return quantize_to(127.0f, x, n, q); }

/// Long groups of activations use all of int8: the value of the largest magnitude (of two such the positive one) lies a quarter
/// step beyond -128, which makes the steps 1 % smaller; what would come to more than 127 on the other side is 127.
inline constexpr float kLongGroupSteps = 128.25f, kLongGroupTop = 127.0f;
inline constexpr int64_t kShortGroup = 32;  // up to here quantize_group

inline float quantize_long_group(const float* x, int64_t n, int8_t* q) {
  float high = 0, low = 0;
  for (int64_t i = 0; i < n; ++i) high = std::fmax(high, x[i]), low = std::fmin(low, x[i]);
  const float top = high >= -low ? high : low;
  const float inverse = std::fabs(top) < kSmallestGroup ? 0.0f : -kLongGroupSteps / top;
  for (int64_t i = 0; i < n; ++i) q[i] = rounded_to<int8_t>(std::fmin(x[i] * inverse, kLongGroupTop));
  return top / -kLongGroupSteps;
}

/// The unit of attention's scores: as exponents of 2, so that the softmax needs no factor. With a softcap c a score is
/// c * tanh(q.k * scale / c), else q.k * scale, both times log2 e.
struct ScoreUnit {
  float factor;  // of q.k
  float cap;     // of the tanh of that; 0 = no softcap

  ScoreUnit(float scale, float softcap)
      : factor(softcap > 0 ? scale / softcap : scale * kLog2E), cap(softcap > 0 ? softcap * kLog2E : 0) {}
};

// Attention over an i16 cache: integers that f16 holds, so small that f32 holds the sums of their products: of queries and keys
// (kMaxWord) over kWordDims dimensions, of weights (kWeightUnit) and values (256) over the positions of a page, at most 2^24.
inline constexpr float kMaxWord = 362;
inline constexpr int32_t kWordDims = 128;
inline constexpr float kWeightUnit = 1024;

/// Quantization of values: the scale is a power of two that brings the largest magnitude into [128, 256), and 2^-60 at least.
/// Its exponent is added to scores, so that weights are in units of the largest contribution and not of the largest
/// probability, which may be that of a value near zero.
inline constexpr uint32_t kLeastExponent = 127 - 53, kValueExponent = 7;  // of amax, as floats have it; of the integers

struct PowerScale {
  float scale, inverse;

  explicit PowerScale(float amax) {
    const uint32_t field = std::max(std::bit_cast<uint32_t>(amax) >> 23, kLeastExponent) - kValueExponent;
    scale = std::bit_cast<float>(field << 23), inverse = std::bit_cast<float>((254 - field) << 23);
  }
};
template <typename Int>
inline float quantize_to_power(const float* x, int64_t n, Int* q) {
  const PowerScale power(largest_magnitude(x, n));
  for (int64_t i = 0; i < n; ++i) q[i] = rounded_to<Int>(x[i] * power.inverse);
  return power.scale;
}

/// kWeightUnit * 2^x for x <= 0: x = n + r, n the nearest integer, |r| <= 1/2, a polynomial in r of degree 3, within 1.1e-4 and
/// exact at 0, times 2^n, rounded where that is below the normal numbers.
inline constexpr float kWeightC1 = 0x1.62f5fcp+9f, kWeightC2 = 0x1.f00c64p+7f, kWeightC3 = 0x1.c2a1b2p+5f;

inline float attention_weight(float x) {
  const float n = std::nearbyint(x), r = x - n;
  float p = std::fma(kWeightC3, r, kWeightC2);
  p = std::fma(p, r, kWeightC1);
  p = std::fma(p, r, kWeightUnit);
  return std::scalbn(p, static_cast<int>(std::fmax(n, -200.0f)));
}

}  // namespace phial
