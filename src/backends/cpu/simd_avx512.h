// 16 lanes in one zmm register. The same names exist in simd_avx2.h and simd_generic.h; kernels/*.inl.h are written
// against them. Included inside a target region and the namespace of the instruction set: no standard headers here.

constexpr int kPackedTokens = 6;  // that are multiplied straight from packed lines, at most
constexpr int kTilePanels = 2;
#define PHIAL_UNROLL _Pragma("GCC unroll 16")  // so that sums lie in registers

using F32x16 = __m512;
using I32x16 = __m512i;
using Mask16 = __mmask16;
constexpr int kF32x16Registers = 32;  // that the processor can hold

inline Mask16 first_lanes(int n) { return static_cast<Mask16>(n >= 16 ? 0xFFFFu : (1u << n) - 1u); }

inline F32x16 load(const float* p) { return _mm512_loadu_ps(p); }
inline F32x16 load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }  // others 0
inline void store(float* p, F32x16 v) { _mm512_storeu_ps(p, v); }
inline void store_past(float* p, F32x16 v) { _mm512_stream_ps(p, v); }  // past the caches, whole lines
inline void store_first(float* p, F32x16 v, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
inline F32x16 load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store_f16(uint16_t* p, F32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline F32x16 load_bf16(const uint16_t* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
inline F32x16 load_i8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

inline F32x16 zero_f32() { return _mm512_setzero_ps(); }
inline F32x16 splat(float x) { return _mm512_set1_ps(x); }
inline F32x16 add(F32x16 a, F32x16 b) { return _mm512_add_ps(a, b); }
inline F32x16 sub(F32x16 a, F32x16 b) { return _mm512_sub_ps(a, b); }
inline F32x16 mul(F32x16 a, F32x16 b) { return _mm512_mul_ps(a, b); }
inline F32x16 div(F32x16 a, F32x16 b) { return _mm512_div_ps(a, b); }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c, one rounding
inline F32x16 max(F32x16 a, F32x16 b) { return _mm512_max_ps(a, b); }
inline F32x16 min(F32x16 a, F32x16 b) { return _mm512_min_ps(a, b); }
inline F32x16 abs(F32x16 a) { return _mm512_abs_ps(a); }
inline F32x16 round_even(F32x16 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// a - round_even(a), which is exact.
inline F32x16 fraction(F32x16 a) { return _mm512_reduce_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// a * 2^n for whole n <= 0, rounded once.
inline F32x16 times_power(F32x16 a, F32x16 n) { return _mm512_scalef_ps(a, n); }
inline Mask16 less(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) { return _mm512_mask_blend_ps(m, no, yes); }
inline Mask16 both(Mask16 a, Mask16 b) { return static_cast<Mask16>(a & b); }

inline I32x16 load(const int32_t* p) { return _mm512_loadu_si512(p); }
inline void store(int32_t* p, I32x16 v) { _mm512_storeu_si512(p, v); }
inline I32x16 zero_i32() { return _mm512_setzero_si512(); }
inline I32x16 splat(int32_t x) { return _mm512_set1_epi32(x); }
inline I32x16 add(I32x16 a, I32x16 b) { return _mm512_add_epi32(a, b); }
inline I32x16 sub(I32x16 a, I32x16 b) { return _mm512_sub_epi32(a, b); }
inline I32x16 mul(I32x16 a, I32x16 b) { return _mm512_mullo_epi32(a, b); }
inline F32x16 to_f32(I32x16 a) { return _mm512_cvtepi32_ps(a); }
inline I32x16 to_i32(F32x16 a) { return _mm512_cvtps_epi32(a); }  // round to nearest even
inline F32x16 as_f32(I32x16 a) { return _mm512_castsi512_ps(a); }
inline I32x16 as_i32(F32x16 a) { return _mm512_castps_si512(a); }
template <int N>
inline I32x16 shift_left(I32x16 a) {
  return _mm512_slli_epi32(a, N);
}
template <int N>
inline I32x16 shift_right(I32x16 a) {
  return _mm512_srai_epi32(a, N);
}  // keeps the sign
/// Low byte of each lane, no saturation.
inline void store_i8(int8_t* p, I32x16 v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v)); }
/// 64 bytes: the low bytes of four vectors' lanes, one vector after another.
inline I32x16 bytes_of(const I32x16 (&v)[4]) {
  const __m512i low = _mm512_set1_epi32(0xFF);
  const __m512i a = _mm512_packus_epi32(_mm512_and_si512(v[0], low), _mm512_and_si512(v[1], low));
  const __m512i b = _mm512_packus_epi32(_mm512_and_si512(v[2], low), _mm512_and_si512(v[3], low));
  const __m512i bytes = _mm512_packus_epi16(a, b);
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
}
/// Low half of each lane; values fit 16 bits.
inline void store_i16(int16_t* p, I32x16 v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v)); }

/// Hides from the compiler what v holds.
inline void keep(I32x16& v) { __asm__("" : "+v"(v)); }

// Lines of 64 bytes: 16 rows x 4 consecutive k.
inline I32x16 load_line(const uint8_t* p) { return _mm512_load_si512(p); }
inline void store_line(uint8_t* p, I32x16 v) { _mm512_store_si512(p, v); }
inline I32x16 bits_and(I32x16 a, I32x16 b) { return _mm512_and_si512(a, b); }
inline I32x16 bits_or(I32x16 a, I32x16 b) { return _mm512_or_si512(a, b); }
/// Lanes 0, 2, 1, 3 of each four.
inline I32x16 lanes_0213(I32x16 a) { return _mm512_shuffle_epi32(a, static_cast<_MM_PERM_ENUM>(0xD8)); }
/// Each lane times 256. By a byte shuffle: shifts have one vector port, which float operations beside tile products need.
inline I32x16 times_256(I32x16 a) {
  return _mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0E0D0C80, 0x0A090880, 0x06050480, 0x02010080));
}
/// Bits of `yes` where `mask` has ones, of `no` elsewhere.
inline I32x16 bits_select(I32x16 mask, I32x16 yes, I32x16 no) { return _mm512_ternarylogic_epi32(mask, yes, no, 0xCA); }
/// Low and high bytes of four vectors of words: dword 4 i + 2 h + k is of lanes j = 4 i + 2 k and j + 1 of vectors h and h + 2,
/// in the order (h, j), (h + 2, j), (h, j + 1), (h + 2, j + 1).
inline void byte_lines(const I32x16 (&v)[4], I32x16& low, I32x16& high) {
  const I32x16 a = _mm512_packus_epi32(v[0], v[1]), b = _mm512_packus_epi32(v[2], v[3]), low_bytes = _mm512_set1_epi16(0xFF);
  low = bits_select(low_bytes, a, _mm512_slli_epi16(b, 8));
  high = bits_select(low_bytes, _mm512_srli_epi16(a, 8), b);
}
/// 32 words, signed, of two vectors' lanes: words 8 i to 8 i + 3 are lanes 4 i to 4 i + 3 of a, the next four those of b.
inline I32x16 packed_words(I32x16 a, I32x16 b) { return _mm512_packs_epi32(a, b); }
template <int N>
inline I32x16 shift_right_bits(I32x16 a) {
  return _mm512_srli_epi32(a, N);
}
inline I32x16 shift_right_by(I32x16 a, int n) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n)); }
/// Sums of four lanes each: lane 4 v + i of the result is that of lanes 4 i to 4 i + 3 of vector v.
inline I32x16 sums_of_four(const I32x16 (&v)[4]) {
  const I32x16 a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const I32x16 b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  const I32x16 sums = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), sums);
}
/// Qwords of a step of three pairs of tokens, by turns: line `line` of three, of pairs of which each has 8 steps.
inline I32x16 steps_of_pairs(const I32x16 (&pair)[3], int line) {
  const int64_t first = 8 * line;
  const auto step = [first](int64_t i) { return (first + i) / 3; };
  const auto from = [&](int64_t i) { return step(i) + ((first + i) % 3 == 1 ? 8 : 0); };
  unsigned third = 0;
  for (int i = 0; i < 8; ++i) third |= (first + i) % 3 == 2 ? 1u << i : 0;
  const __m512i two = _mm512_permutex2var_epi64(
      pair[0], _mm512_setr_epi64(from(0), from(1), from(2), from(3), from(4), from(5), from(6), from(7)), pair[1]);
  return _mm512_mask_permutexvar_epi64(two, static_cast<__mmask8>(third),
                                       _mm512_setr_epi64(step(0), step(1), step(2), step(3), step(4), step(5), step(6), step(7)),
                                       pair[2]);
}
/// Lanes of six vectors by turns: those of six tokens' steps, to six lines.
constexpr bool kInterleavesSix = true;
inline void interleave_six(const I32x16 (&v)[6], int32_t* out) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
                high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  I32x16 half[2][3];
  PHIAL_UNROLL
  for (int p = 0; p < 3; ++p) {
    half[0][p] = _mm512_permutex2var_epi32(v[2 * p], low, v[2 * p + 1]);
    half[1][p] = _mm512_permutex2var_epi32(v[2 * p], high, v[2 * p + 1]);
  }
  PHIAL_UNROLL
  for (int line = 0; line < 6; ++line) store(out + line * 16, steps_of_pairs(half[line / 3], line % 3));
}
inline I32x16 mul_words(I32x16 a, I32x16 b) { return _mm512_mullo_epi16(a, b); }  // 32 products of 16 bits
inline I32x16 add_bytes(I32x16 a, I32x16 b) { return _mm512_add_epi8(a, b); }
/// Of each byte of `index`, 0 to 3, the byte of the same lane of `table`.
inline I32x16 lookup_bytes(I32x16 table, I32x16 index) {
  return _mm512_shuffle_epi8(table, _mm512_or_si512(index, _mm512_set4_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0)));
}
/// v, plus `addend` in the bytes where `bits` has the one bit that `mask` has.
inline I32x16 add_bytes_where(I32x16 v, I32x16 bits, I32x16 mask, I32x16 addend) {
  return _mm512_mask_add_epi8(v, _mm512_test_epi8_mask(bits, mask), v, addend);
}
/// The four bytes at p in every lane.
inline I32x16 splat_dword(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
/// Dword i of those at p, for dot_bytes.
inline I32x16 act_dword(const void* p, int i) { return splat_dword(static_cast<const char*>(p) + i * 4); }
constexpr bool kSignedLevels = false;    // levels are 0..255
constexpr int kActSteps = 1;             // steps of one token side by side in the activations
constexpr bool kSignedAbove127 = false;  // whether levels above 127 are stored with their signs instead
// Sums of products are 32 bits at once here; the words of other instruction sets are declared, not used.
constexpr int word_steps(int) { return 0; }
constexpr bool kWordParts = true;  // sums of two sub-blocks are scaled in one product of words
using Words = I32x16;
Words pair_products(I32x16 u, I32x16 s);
inline I32x16 add_words(I32x16 x, I32x16 y) { return _mm512_add_epi16(x, y); }
/// acc + sum of four products per lane, u unsigned bytes, s signed bytes in -128..127. Exact.
/// kSigned: of other instruction sets.
template <bool kSigned>
inline I32x16 dot_bytes(I32x16 acc, I32x16 u, I32x16 s) {
  return _mm512_dpbusd_epi32(acc, u, s);
}
/// The sum of two products of signed words per lane, and acc plus it.
inline I32x16 dot_words(I32x16 a, I32x16 b) { return _mm512_madd_epi16(a, b); }
inline I32x16 dot_words(I32x16 acc, I32x16 a, I32x16 b) { return _mm512_dpwssd_epi32(acc, a, b); }
/// The same for sums that loops carry: as an instruction with one register to read and write, since GCC 12 moves them about.
inline void add_dot_words(I32x16& acc, I32x16 a, I32x16 b) { __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b)); }
inline F32x16 f16_of_low(I32x16 a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }  // low half of each lane
inline F32x16 f16_of_high(I32x16 a) { return f16_of_low(_mm512_srli_epi32(a, 16)); }

/// The tree of docs/numerics.md: lanes i and i + 8, then 4, 2, 1 apart.
inline float sum_lanes(F32x16 v) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
/// Lane i: what op makes of row i's lanes, in the same tree. All 16 rows take one step together.
template <typename Op>
inline F32x16 tree_of_rows(const float (*rows)[16], Op op) {
  F32x16 eighth[4];  // four lanes of each of four rows
  PHIAL_UNROLL
  for (int i = 0; i < 4; ++i) {
    const F32x16 a = load(rows[4 * i]), b = load(rows[4 * i + 1]), c = load(rows[4 * i + 2]), d = load(rows[4 * i + 3]);
    const F32x16 ab = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
    const F32x16 cd = op(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
    eighth[i] = op(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  }
  const F32x16 low = op(_mm512_shuffle_ps(eighth[0], eighth[1], 0x44), _mm512_shuffle_ps(eighth[0], eighth[1], 0xEE));
  const F32x16 high = op(_mm512_shuffle_ps(eighth[2], eighth[3], 0x44), _mm512_shuffle_ps(eighth[2], eighth[3], 0xEE));
  const F32x16 all = op(_mm512_shuffle_ps(low, high, 0x88), _mm512_shuffle_ps(low, high, 0xDD));  // row 4 j + k in lane 4 k + j
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), all);
}
constexpr int kTreesOfRows = 4;  // rows above which that pays
inline float max_lanes(F32x16 v) {
  const __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}
