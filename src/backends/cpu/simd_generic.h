// 16 lanes in an array, for any processor and as the plain twin of the others; the names of simd_avx512.h.
// Plain loops the compiler may vectorise; fma is the C library's, with one rounding like the instruction.

constexpr int kPackedTokens = 0;  // few tokens go through panels too: half the code to compile
constexpr int kTilePanels = 2;
#define PHIAL_UNROLL  // sums lie in memory: unrolled loops would only be long

struct F32x16 {
  float lane[16];
};
struct I32x16 {
  int32_t lane[16];
};
struct Mask16 {
  bool lane[16];
};
constexpr int kF32x16Registers = 8;  // that the processor can hold

#define PHIAL_LANES(expression)                        \
  for (int i = 0; i < 16; ++i) r.lane[i] = expression; \
  return r

inline float f16_value(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) {
    const float small = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -small : small;
  }
  const uint32_t bits = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | mantissa << 13;
  return __builtin_bit_cast(float, bits);
}
inline uint16_t f16_bits(float f) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, f), magnitude = bits & 0x7FFFFFFFu;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x1FF));  // NaN
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7C00);                             // >= 65536
  if (magnitude < 0x38800000u) {  // below the smallest normal f16: adding 0.5 rounds at 2^-24, to even
    const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - 0x38000000u) >> 13);
}

inline Mask16 first_lanes(int n) {
  Mask16 r;
  PHIAL_LANES(i < n);
}

inline F32x16 load(const float* p) {
  F32x16 r;
  PHIAL_LANES(p[i]);
}
inline F32x16 load_first(const float* p, int n) {
  F32x16 r;
  PHIAL_LANES(i < n ? p[i] : 0.0f);
}
inline void store(float* p, F32x16 v) {
  for (int i = 0; i < 16; ++i) p[i] = v.lane[i];
}
inline void store_past(float* p, F32x16 v) { store(p, v); }  // past the caches where there is such a store
inline void store_first(float* p, F32x16 v, int n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = v.lane[i];
}
inline F32x16 load_f16(const uint16_t* p) {
  F32x16 r;
  PHIAL_LANES(f16_value(p[i]));
}
inline void store_f16(uint16_t* p, F32x16 v) {
  for (int i = 0; i < 16; ++i) p[i] = f16_bits(v.lane[i]);
}
inline F32x16 load_bf16(const uint16_t* p) {
  F32x16 r;
  PHIAL_LANES(__builtin_bit_cast(float, static_cast<uint32_t>(p[i]) << 16));
}
inline F32x16 load_i8(const int8_t* p) {
  F32x16 r;
  PHIAL_LANES(p[i]);
}

inline F32x16 zero_f32() {
  F32x16 r;
  PHIAL_LANES(0.0f);
}
inline F32x16 splat(float x) {
  F32x16 r;
  PHIAL_LANES(x);
}
inline F32x16 add(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] + y.lane[i]);
}
inline F32x16 sub(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] - y.lane[i]);
}
inline F32x16 mul(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] * y.lane[i]);
}
inline F32x16 div(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] / y.lane[i]);
}
inline F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  F32x16 r;
  PHIAL_LANES(__builtin_fmaf(x.lane[i], y.lane[i], z.lane[i]));
}
inline F32x16 max(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] > y.lane[i] ? x.lane[i] : y.lane[i]);
}
inline F32x16 min(F32x16 x, F32x16 y) {
  F32x16 r;
  PHIAL_LANES(x.lane[i] < y.lane[i] ? x.lane[i] : y.lane[i]);
}
inline F32x16 abs(F32x16 x) {
  F32x16 r;
  PHIAL_LANES(__builtin_fabsf(x.lane[i]));
}
inline F32x16 round_even(F32x16 x) {
  F32x16 r;
  PHIAL_LANES(__builtin_nearbyintf(x.lane[i]));
}
inline Mask16 less(F32x16 x, F32x16 y) {
  Mask16 r;
  PHIAL_LANES(x.lane[i] < y.lane[i]);
}
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  F32x16 r;
  PHIAL_LANES(m.lane[i] ? yes.lane[i] : no.lane[i]);
}
inline Mask16 both(Mask16 x, Mask16 y) {
  Mask16 r;
  PHIAL_LANES(x.lane[i] && y.lane[i]);
}

inline I32x16 load(const int32_t* p) {
  I32x16 r;
  PHIAL_LANES(p[i]);
}
inline void store(int32_t* p, I32x16 v) {
  for (int i = 0; i < 16; ++i) p[i] = v.lane[i];
}
inline I32x16 zero_i32() {
  I32x16 r;
  PHIAL_LANES(0);
}
inline I32x16 splat(int32_t x) {
  I32x16 r;
  PHIAL_LANES(x);
}
// Like the instructions, integer lanes wrap: through uint32_t, where wrapping is defined.
inline int32_t wrapped(uint32_t u) { return static_cast<int32_t>(u); }
inline I32x16 add(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) + uint32_t(y.lane[i])));
}
inline I32x16 sub(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) - uint32_t(y.lane[i])));
}
inline I32x16 mul(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) * uint32_t(y.lane[i])));
}
inline F32x16 to_f32(I32x16 x) {
  F32x16 r;
  PHIAL_LANES(static_cast<float>(x.lane[i]));
}
/// Round to nearest even; what does not fit gives INT32_MIN, as the instruction does.
inline I32x16 to_i32(F32x16 x) {
  I32x16 r;
  PHIAL_LANES(x.lane[i] >= -0x1p31f && x.lane[i] < 0x1p31f ? static_cast<int32_t>(__builtin_nearbyintf(x.lane[i])) : INT32_MIN);
}
inline F32x16 as_f32(I32x16 x) {
  F32x16 r;
  PHIAL_LANES(__builtin_bit_cast(float, x.lane[i]));
}
inline I32x16 as_i32(F32x16 x) {
  I32x16 r;
  PHIAL_LANES(__builtin_bit_cast(int32_t, x.lane[i]));
}
template <int N>
inline I32x16 shift_left(I32x16 x) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) << N));
}
template <int N>
inline I32x16 shift_right(I32x16 x) {
  I32x16 r;
  PHIAL_LANES(x.lane[i] >> N);
}
inline void store_i8(int8_t* p, I32x16 v) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(v.lane[i]);
}
/// 64 bytes: the low bytes of four vectors' lanes, one vector after another.
inline I32x16 bytes_of(const I32x16 (&v)[4]) {
  I32x16 r;
  for (int i = 0; i < 4; ++i) store_i8(reinterpret_cast<int8_t*>(r.lane + 4 * i), v[i]);
  return r;
}
inline void store_i16(int16_t* p, I32x16 v) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int16_t>(v.lane[i]);
}

/// Hides from the compiler what v holds.
inline void keep(I32x16& v) { __asm__("" : "+m"(v)); }

// Lines of 64 bytes: 16 rows x 4 consecutive k.
inline I32x16 load_line(const uint8_t* p) {
  I32x16 r;
  __builtin_memcpy(&r, p, 64);
  return r;
}
inline void store_line(uint8_t* p, I32x16 v) { __builtin_memcpy(p, &v, 64); }
inline I32x16 bits_and(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(x.lane[i] & y.lane[i]);
}
inline I32x16 bits_or(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(x.lane[i] | y.lane[i]);
}
inline I32x16 lanes_0213(I32x16 x) {
  I32x16 r;
  PHIAL_LANES(x.lane[i / 4 * 4 + (i % 4 == 1 ? 2 : i % 4 == 2 ? 1 : i % 4)]);
}
inline I32x16 times_256(I32x16 x) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) << 8));
}
inline void byte_lines(const I32x16 (&v)[4], I32x16& low, I32x16& high) {
  for (int line = 0; line < 16; ++line) {
    uint32_t bytes[2] = {};
    for (int j = 0; j < 4; ++j) {
      const uint32_t word = static_cast<uint32_t>(v[line % 4 / 2 + j % 2 * 2].lane[line / 4 * 4 + line % 2 * 2 + j / 2]);
      bytes[0] |= (word & 0xFF) << 8 * j;
      bytes[1] |= (word >> 8 & 0xFF) << 8 * j;
    }
    low.lane[line] = static_cast<int32_t>(bytes[0]), high.lane[line] = static_cast<int32_t>(bytes[1]);
  }
}
inline I32x16 bits_select(I32x16 mask, I32x16 yes, I32x16 no) {
  I32x16 r;
  PHIAL_LANES((mask.lane[i] & yes.lane[i]) | (~mask.lane[i] & no.lane[i]));
}
inline int32_t word_pair(int32_t low, int32_t high) { return wrapped((uint32_t(low) & 0xFFFF) | uint32_t(high) << 16); }
inline I32x16 packed_words(I32x16 x, I32x16 y) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) {
    const int32_t* from = (i % 4 < 2 ? x : y).lane + i / 4 * 4 + i % 2 * 2;
    r.lane[i] = word_pair(from[0], from[1]);
  }
  return r;
}
template <int N>
inline I32x16 shift_right_bits(I32x16 x) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) >> N));
}
inline I32x16 shift_right_by(I32x16 x, int n) {
  I32x16 r;
  PHIAL_LANES(wrapped(uint32_t(x.lane[i]) >> n));
}
inline int32_t mul_word_pair(uint32_t x, uint32_t y) {
  return wrapped(((x & 0xFFFF) * (y & 0xFFFF) & 0xFFFF) | (x >> 16) * (y >> 16) << 16);
}
inline I32x16 mul_words(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(mul_word_pair(uint32_t(x.lane[i]), uint32_t(y.lane[i])));
}
/// Of each byte of `index`, 0 to 3, the byte of the same lane of `table`.
inline I32x16 lookup_bytes(I32x16 table, I32x16 index) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) {
    uint32_t lane = 0;
    for (int b = 0; b < 32; b += 8) lane |= ((uint32_t(table.lane[i]) >> ((uint32_t(index.lane[i]) >> b & 3) * 8)) & 0xFF) << b;
    r.lane[i] = wrapped(lane);
  }
  return r;
}
/// v, plus `addend` in the bytes where `bits` has the one bit that `mask` has.
inline I32x16 add_bytes_where(I32x16 v, I32x16 bits, I32x16 mask, I32x16 addend) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) {
    uint32_t lane = 0;
    for (int b = 0; b < 32; b += 8) {
      const uint32_t has = uint32_t(bits.lane[i]) >> b & uint32_t(mask.lane[i]) >> b & 0xFF;
      lane |= (((uint32_t(v.lane[i]) >> b) + (has ? uint32_t(addend.lane[i]) >> b : 0)) & 0xFF) << b;
    }
    r.lane[i] = wrapped(lane);
  }
  return r;
}
inline I32x16 add_bytes(I32x16 x, I32x16 y) {
  I32x16 r;  // carries stop at the top bit of each byte
  PHIAL_LANES(wrapped(((uint32_t(x.lane[i]) & 0x7F7F7F7F) + (uint32_t(y.lane[i]) & 0x7F7F7F7F)) ^
                      ((uint32_t(x.lane[i]) ^ uint32_t(y.lane[i])) & 0x80808080)));
}
/// The four bytes at p in every lane.
inline I32x16 splat_dword(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return splat(v);
}
/// Dword i of those at p, for dot_bytes.
inline I32x16 act_dword(const void* p, int i) { return splat_dword(static_cast<const char*>(p) + i * 4); }
constexpr bool kSignedLevels = false;  // levels are 0..255
constexpr int kActSteps = 1;           // steps of one token side by side in the activations
inline int32_t dot4(uint32_t u, uint32_t s) {
  int32_t sum = 0;
  for (int b = 0; b < 32; b += 8) sum += static_cast<int32_t>(u >> b & 255) * static_cast<int8_t>(s >> b & 255);
  return sum;
}
inline int32_t dot2(uint32_t x, uint32_t y) {
  return int32_t{static_cast<int16_t>(x & 0xFFFF)} * static_cast<int16_t>(y & 0xFFFF) +
         int32_t{static_cast<int16_t>(x >> 16)} * static_cast<int16_t>(y >> 16);
}
constexpr bool kSignedAbove127 = false;  // whether levels above 127 are stored with their signs instead
// Sums of products are 32 bits at once here; the words of other instruction sets are declared, not used.
constexpr int word_steps(int) { return 0; }
constexpr bool kWordParts = true;
using Words = I32x16;
Words pair_products(I32x16 u, I32x16 s);
inline I32x16 add_words(I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(wrapped(((uint32_t(x.lane[i]) + uint32_t(y.lane[i])) & 0xFFFF) |
                      ((uint32_t(x.lane[i]) >> 16) + (uint32_t(y.lane[i]) >> 16)) << 16));
}
/// acc + sum of four products per lane, u unsigned bytes, s signed bytes in -128..127. Exact.
/// kSigned: of other instruction sets.
template <bool kSigned>
inline I32x16 dot_bytes(I32x16 acc, I32x16 u, I32x16 s) {
  I32x16 r;
  PHIAL_LANES(acc.lane[i] + dot4(uint32_t(u.lane[i]), uint32_t(s.lane[i])));
}
constexpr bool kInterleavesSix = false;  // tokens are scattered one by one
void interleave_six(const I32x16 (&v)[6], int32_t* out);
/// Sums of four lanes each: lane 4 v + i of the result is that of lanes 4 i to 4 i + 3 of vector v.
inline I32x16 sums_of_four(const I32x16 (&v)[4]) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) {
    const int32_t* four = v[i / 4].lane + i % 4 * 4;
    r.lane[i] = four[0] + four[1] + four[2] + four[3];
  }
  return r;
}
/// acc + sum of two products of signed words per lane.
inline I32x16 dot_words(I32x16 acc, I32x16 x, I32x16 y) {
  I32x16 r;
  PHIAL_LANES(acc.lane[i] + dot2(uint32_t(x.lane[i]), uint32_t(y.lane[i])));
}
inline I32x16 dot_words(I32x16 x, I32x16 y) { return dot_words(zero_i32(), x, y); }
inline void add_dot_words(I32x16& acc, I32x16 x, I32x16 y) { acc = dot_words(acc, x, y); }
inline F32x16 f16_of_low(I32x16 x) {
  F32x16 r;
  PHIAL_LANES(f16_value(static_cast<uint16_t>(x.lane[i])));
}
inline F32x16 f16_of_high(I32x16 x) {
  F32x16 r;
  PHIAL_LANES(f16_value(static_cast<uint16_t>(uint32_t(x.lane[i]) >> 16)));
}

#undef PHIAL_LANES

/// The tree of docs/numerics.md: lanes i and i + 8, then 4, 2, 1 apart.
inline float sum_lanes(F32x16 v) {
  for (int apart = 8; apart > 0; apart /= 2)
    for (int i = 0; i < apart; ++i) v.lane[i] += v.lane[i + apart];
  return v.lane[0];
}
constexpr int kTreesOfRows = 0;  // rows are reduced one by one
template <typename Op>
F32x16 tree_of_rows(const float (*rows)[16], Op op);  // of other instruction sets
inline float max_lanes(F32x16 v) {
  for (int apart = 8; apart > 0; apart /= 2)
    for (int i = 0; i < apart; ++i) v.lane[i] = v.lane[i] > v.lane[i + apart] ? v.lane[i] : v.lane[i + apart];
  return v.lane[0];
}

#include "backends/cpu/simd_powers.h"
