// 16 lanes in two ymm registers; the names of simd_avx512.h. Included inside a target region: no standard headers here.

#ifdef PHIAL_AVX_VNNI
constexpr int kPackedTokens = 6;  // that are multiplied straight from packed lines, at most
#else
constexpr int kPackedTokens = 3;        // more are faster unpacked
#endif
constexpr int kTilePanels = 1;                 // 6 tokens x 16 rows fill the registers
#define PHIAL_UNROLL _Pragma("GCC unroll 16")  // so that sums lie in registers

struct F32x16 {
  __m256 a, b;
};
struct I32x16 {
  __m256i a, b;
};
struct Mask16 {
  __m256 a, b;
};
constexpr int kF32x16Registers = 8;  // that the processor can hold

inline Mask16 first_lanes(int n) {
  const __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i limit = _mm256_set1_epi32(n);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, i)),
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, _mm256_add_epi32(i, _mm256_set1_epi32(8))))};
}

inline F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline F32x16 load_first(const float* p, int n) {
  const Mask16 m = first_lanes(n);
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.a)), _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.b))};
}
inline void store(float* p, F32x16 v) { _mm256_storeu_ps(p, v.a), _mm256_storeu_ps(p + 8, v.b); }
inline void store_past(float* p, F32x16 v) { _mm256_stream_ps(p, v.a), _mm256_stream_ps(p + 8, v.b); }  // past the caches
inline void store_first(float* p, F32x16 v, int n) {
  const Mask16 m = first_lanes(n);
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.a), v.a);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.b), v.b);
}
inline __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline F32x16 load_f16(const uint16_t* p) { return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 8))}; }
inline void store_f16(uint16_t* p, F32x16 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline F32x16 load_bf16(const uint16_t* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p + 8)), 16))};
}
inline F32x16 load_i8(const int8_t* p) {
  const __m128i bytes = load_128(p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}

inline F32x16 zero_f32() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline F32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F32x16 add(F32x16 x, F32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F32x16 sub(F32x16 x, F32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F32x16 mul(F32x16 x, F32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F32x16 div(F32x16 x, F32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F32x16 fma(F32x16 x, F32x16 y, F32x16 z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline F32x16 max(F32x16 x, F32x16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F32x16 min(F32x16 x, F32x16 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline F32x16 abs(F32x16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline F32x16 round_even(F32x16 x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask16 less(F32x16 x, F32x16 y) { return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)}; }
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}
inline Mask16 both(Mask16 x, Mask16 y) { return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)}; }

inline __m256i load_256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline I32x16 load(const int32_t* p) { return {load_256(p), load_256(p + 8)}; }
inline void store(int32_t* p, I32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), v.b);
}
inline I32x16 zero_i32() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline I32x16 splat(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline I32x16 add(I32x16 x, I32x16 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline I32x16 sub(I32x16 x, I32x16 y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
inline I32x16 mul(I32x16 x, I32x16 y) { return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)}; }
inline F32x16 to_f32(I32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I32x16 to_i32(F32x16 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }  // round to nearest even
inline F32x16 as_f32(I32x16 x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline I32x16 as_i32(F32x16 x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
template <int N>
inline I32x16 shift_left(I32x16 x) {
  return {_mm256_slli_epi32(x.a, N), _mm256_slli_epi32(x.b, N)};
}
template <int N>
inline I32x16 shift_right(I32x16 x) {
  return {_mm256_srai_epi32(x.a, N), _mm256_srai_epi32(x.b, N)};
}  // keeps the sign
/// Low byte of each lane, no saturation.
inline void store_i8(int8_t* p, I32x16 v) {
  const __m256i low = _mm256_set1_epi32(0xFF);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(v.a, low), _mm256_and_si256(v.b, low));  // quarters 0 2 1 3
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}
/// 64 bytes: the low bytes of four vectors' lanes, one vector after another.
inline I32x16 bytes_of(const I32x16 (&v)[4]) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), low = _mm256_set1_epi32(0xFF);
  const auto words = [&low](const I32x16& x) {
    return _mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low));
  };
  const auto both = [&](const I32x16& x, const I32x16& y) {
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words(x), words(y)), order);
  };
  return {both(v[0], v[1]), both(v[2], v[3])};
}
/// Low half of each lane; values fit 16 bits.
inline void store_i16(int16_t* p, I32x16 v) {
  const __m256i words = _mm256_packs_epi32(v.a, v.b);  // quarters 0 2 1 3
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(words, 0xD8));
}

/// Hides from the compiler what v holds.
inline void keep(I32x16& v) { __asm__("" : "+x"(v.a), "+x"(v.b)); }

// Lines of 64 bytes: 16 rows x 4 consecutive k.
inline I32x16 load_line(const uint8_t* p) { return {load_256(p), load_256(p + 32)}; }
inline void store_line(uint8_t* p, I32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), v.b);
}
inline I32x16 bits_and(I32x16 x, I32x16 y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
inline I32x16 bits_or(I32x16 x, I32x16 y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
/// Bits of `yes` where `mask` has ones, of `no` elsewhere.
inline I32x16 bits_select(I32x16 mask, I32x16 yes, I32x16 no) {
  return {_mm256_or_si256(_mm256_and_si256(mask.a, yes.a), _mm256_andnot_si256(mask.a, no.a)),
          _mm256_or_si256(_mm256_and_si256(mask.b, yes.b), _mm256_andnot_si256(mask.b, no.b))};
}
template <int N>
inline I32x16 shift_right_bits(I32x16 x) {
  return {_mm256_srli_epi32(x.a, N), _mm256_srli_epi32(x.b, N)};
}
inline I32x16 shift_right_by(I32x16 x, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_srl_epi32(x.a, count), _mm256_srl_epi32(x.b, count)};
}
inline I32x16 mul_words(I32x16 x, I32x16 y) { return {_mm256_mullo_epi16(x.a, y.a), _mm256_mullo_epi16(x.b, y.b)}; }
inline I32x16 add_bytes(I32x16 x, I32x16 y) { return {_mm256_add_epi8(x.a, y.a), _mm256_add_epi8(x.b, y.b)}; }
/// Of each byte of `index`, 0 to 3, the byte of the same lane of `table`.
inline I32x16 lookup_bytes(I32x16 table, I32x16 index) {
  const __m256i lanes = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C);
  return {_mm256_shuffle_epi8(table.a, _mm256_or_si256(index.a, lanes)),
          _mm256_shuffle_epi8(table.b, _mm256_or_si256(index.b, lanes))};
}
inline __m256i add_bytes_where(__m256i v, __m256i bits, __m256i mask, __m256i addend) {
  return _mm256_add_epi8(v, _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bits, mask), mask), addend));
}
/// v, plus `addend` in the bytes where `bits` has the one bit that `mask` has.
inline I32x16 add_bytes_where(I32x16 v, I32x16 bits, I32x16 mask, I32x16 addend) {
  return {add_bytes_where(v.a, bits.a, mask.a, addend.a), add_bytes_where(v.b, bits.b, mask.b, addend.b)};
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
#ifdef PHIAL_AVX_VNNI
constexpr bool kSignedAbove127 = false;
#else
constexpr bool kSignedAbove127 = true;  // levels above 127 are stored with their signs instead
#endif
template <bool kSigned>
inline __m256i dot_bytes_256(__m256i acc, __m256i w, __m256i x) {
#ifdef PHIAL_AVX_VNNI
  return _mm256_dpbusd_avx_epi32(acc, w, x);
#else
  // A pair is at most 2 * 127 * 128 < 2^15: maddubs does not saturate. Signs go from w to x.
  const __m256i pairs = kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}
/// acc + sum of four products per lane. Exact: w unsigned bytes of at most 127 (255 where kSignedAbove127 is not set) and x
/// signed ones in -128..127, or, if kSigned, w in -128..127 and x in -127..127.
template <bool kSigned>
inline I32x16 dot_bytes(I32x16 acc, I32x16 w, I32x16 x) {
  return {dot_bytes_256<kSigned>(acc.a, w.a, x.a), dot_bytes_256<kSigned>(acc.b, w.b, x.b)};
}
/// Steps of four products of a level (at most max_level) and a byte in -128..127 whose pairs can be summed in 16 bits: the sums
/// of pairs stay within 2^15. 0 = as 32 bits at once.
constexpr int word_steps(int max_level) {
#ifdef PHIAL_AVX_VNNI
  return max_level * 0;  // the instruction set sums in 32 bits
#else
  const int fit = 32767 / (2 * 128 * (max_level > 0 ? max_level : 32767));
  return fit >= 8 ? 8 : fit >= 4 ? 4 : fit >= 2 ? 2 : fit;
#endif
}
#ifdef PHIAL_AVX_VNNI
constexpr bool kWordParts = true;  // sums of two sub-blocks are scaled in one product of words
#else
constexpr bool kWordParts = false;
#endif
using Words = I32x16;
/// Products of unsigned and signed bytes, summed by pairs: two words per lane.
inline Words pair_products(I32x16 u, I32x16 s) { return {_mm256_maddubs_epi16(u.a, s.a), _mm256_maddubs_epi16(u.b, s.b)}; }
inline Words add_words(Words x, Words y) { return {_mm256_add_epi16(x.a, y.a), _mm256_add_epi16(x.b, y.b)}; }
constexpr bool kInterleavesSix = false;  // tokens are scattered one by one
void interleave_six(const I32x16 (&v)[6], int32_t* out);
/// Sums of four lanes each: lane 4 v + i of the result is that of lanes 4 i to 4 i + 3 of vector v.
inline I32x16 sums_of_four(const I32x16 (&v)[4]) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto both = [&order](const I32x16& x, const I32x16& y) {
    return _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(_mm256_hadd_epi32(x.a, x.b), _mm256_hadd_epi32(y.a, y.b)), order);
  };
  return {both(v[0], v[1]), both(v[2], v[3])};
}
/// acc + sum of two products of signed words per lane.
inline I32x16 dot_words(I32x16 acc, I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(x.a, y.a)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(x.b, y.b))};
}
inline void add_dot_words(I32x16& acc, I32x16 x, I32x16 y) { acc = dot_words(acc, x, y); }
inline F32x16 f16_of_low(I32x16 x) {  // low half of each lane
  const __m256i low = _mm256_set1_epi32(0xFFFF);
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low)), 0xD8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(words)), _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1))};
}
inline F32x16 f16_of_high(I32x16 x) { return f16_of_low(shift_right_bits<16>(x)); }

/// The tree of docs/numerics.md: lanes i and i + 8, then 4, 2, 1 apart.
inline float sum_lanes(F32x16 v) {
  const __m256 a = _mm256_add_ps(v.a, v.b);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
constexpr int kTreesOfRows = 0;  // rows are reduced one by one
template <typename Op>
F32x16 tree_of_rows(const float (*rows)[16], Op op);  // of other instruction sets
inline float max_lanes(F32x16 v) {
  const __m256 a = _mm256_max_ps(v.a, v.b);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}

#include "backends/cpu/simd_powers.h"
