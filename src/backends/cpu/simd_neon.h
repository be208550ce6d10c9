// 16 lanes in four q registers, with SDOT for bytes; the names of simd_avx512.h. Included inside a target region: no
// standard headers here. SDOT multiplies signed bytes, so levels are stored signed, and it takes one dword of four
// activations from a register by lane: no broadcasts.

constexpr int kPackedTokens = 2;  // that are multiplied straight from packed lines, at most; more are fewer instructions unpacked
constexpr int kTilePanels = 1;    // 6 tokens x 16 rows fill the registers
#define PHIAL_UNROLL _Pragma("GCC unroll 16")  // so that sums lie in registers

struct F32x16 {
  float32x4_t a, b, c, d;
};
struct I32x16 {
  int32x4_t a, b, c, d;
};
struct Mask16 {
  uint32x4_t a, b, c, d;
};
constexpr int kF32x16Registers = 8;  // that the processor can hold

inline Mask16 first_lanes(int n) {
  constexpr int32_t kIndex[4] = {0, 1, 2, 3};
  const int32x4_t i = vld1q_s32(kIndex), limit = vdupq_n_s32(n);
  return {vcgtq_s32(limit, i), vcgtq_s32(limit, vaddq_s32(i, vdupq_n_s32(4))), vcgtq_s32(limit, vaddq_s32(i, vdupq_n_s32(8))),
          vcgtq_s32(limit, vaddq_s32(i, vdupq_n_s32(12)))};
}

inline F32x16 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
inline F32x16 load_first(const float* p, int n) {  // others 0
  if (n >= 16) return load(p);
  float lanes[16] = {};
  if (n > 0) __builtin_memcpy(lanes, p, static_cast<size_t>(n) * 4);
  return load(lanes);
}
inline void store(float* p, F32x16 v) { vst1q_f32(p, v.a), vst1q_f32(p + 4, v.b), vst1q_f32(p + 8, v.c), vst1q_f32(p + 12, v.d); }
inline void store_past(float* p, F32x16 v) { store(p, v); }  // past the caches where there is such a store
inline void store_first(float* p, F32x16 v, int n) {
  if (n >= 16) return store(p, v);
  float lanes[16];
  store(lanes, v);
  if (n > 0) __builtin_memcpy(p, lanes, static_cast<size_t>(n) * 4);
}
inline float32x4_t widen_f16(uint16x4_t v) { return vcvt_f32_f16(vreinterpret_f16_u16(v)); }
inline float32x4_t widen_bf16(uint16x4_t v) { return vreinterpretq_f32_u32(vshll_n_u16(v, 16)); }
inline F32x16 load_f16(const uint16_t* p) {
  return {widen_f16(vld1_u16(p)), widen_f16(vld1_u16(p + 4)), widen_f16(vld1_u16(p + 8)), widen_f16(vld1_u16(p + 12))};
}
inline void store_f16(uint16_t* p, F32x16 v) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v.a))), vst1_u16(p + 4, vreinterpret_u16_f16(vcvt_f16_f32(v.b)));
  vst1_u16(p + 8, vreinterpret_u16_f16(vcvt_f16_f32(v.c))), vst1_u16(p + 12, vreinterpret_u16_f16(vcvt_f16_f32(v.d)));
}
inline F32x16 load_bf16(const uint16_t* p) {
  return {widen_bf16(vld1_u16(p)), widen_bf16(vld1_u16(p + 4)), widen_bf16(vld1_u16(p + 8)), widen_bf16(vld1_u16(p + 12))};
}
inline F32x16 load_i8(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))};
}

inline F32x16 zero_f32() { return {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)}; }
inline F32x16 splat(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline F32x16 add(F32x16 x, F32x16 y) {
  return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
}
inline F32x16 sub(F32x16 x, F32x16 y) {
  return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
}
inline F32x16 mul(F32x16 x, F32x16 y) {
  return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
}
inline F32x16 div(F32x16 x, F32x16 y) {
  return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d)};
}
inline F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
// Like the other instruction sets, and unlike vmaxq: y where a number is missing.
inline F32x16 max(F32x16 x, F32x16 y) {
  return {vbslq_f32(vcgtq_f32(x.a, y.a), x.a, y.a), vbslq_f32(vcgtq_f32(x.b, y.b), x.b, y.b),
          vbslq_f32(vcgtq_f32(x.c, y.c), x.c, y.c), vbslq_f32(vcgtq_f32(x.d, y.d), x.d, y.d)};
}
inline F32x16 min(F32x16 x, F32x16 y) {
  return {vbslq_f32(vcltq_f32(x.a, y.a), x.a, y.a), vbslq_f32(vcltq_f32(x.b, y.b), x.b, y.b),
          vbslq_f32(vcltq_f32(x.c, y.c), x.c, y.c), vbslq_f32(vcltq_f32(x.d, y.d), x.d, y.d)};
}
inline F32x16 abs(F32x16 x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }
inline F32x16 round_even(F32x16 x) { return {vrndnq_f32(x.a), vrndnq_f32(x.b), vrndnq_f32(x.c), vrndnq_f32(x.d)}; }
inline Mask16 less(F32x16 x, F32x16 y) {
  return {vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b), vcltq_f32(x.c, y.c), vcltq_f32(x.d, y.d)};
}
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {vbslq_f32(m.a, yes.a, no.a), vbslq_f32(m.b, yes.b, no.b), vbslq_f32(m.c, yes.c, no.c), vbslq_f32(m.d, yes.d, no.d)};
}
inline Mask16 both(Mask16 x, Mask16 y) {
  return {vandq_u32(x.a, y.a), vandq_u32(x.b, y.b), vandq_u32(x.c, y.c), vandq_u32(x.d, y.d)};
}

inline I32x16 load(const int32_t* p) { return {vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)}; }
inline void store(int32_t* p, I32x16 v) {
  vst1q_s32(p, v.a), vst1q_s32(p + 4, v.b), vst1q_s32(p + 8, v.c), vst1q_s32(p + 12, v.d);
}
inline I32x16 zero_i32() { return {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}; }
inline I32x16 splat(int32_t x) { return {vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)}; }
inline I32x16 add(I32x16 x, I32x16 y) {
  return {vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b), vaddq_s32(x.c, y.c), vaddq_s32(x.d, y.d)};
}
inline I32x16 sub(I32x16 x, I32x16 y) {
  return {vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b), vsubq_s32(x.c, y.c), vsubq_s32(x.d, y.d)};
}
inline I32x16 mul(I32x16 x, I32x16 y) {
  return {vmulq_s32(x.a, y.a), vmulq_s32(x.b, y.b), vmulq_s32(x.c, y.c), vmulq_s32(x.d, y.d)};
}
inline F32x16 to_f32(I32x16 x) { return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)}; }
/// Round to nearest even; what does not fit gives INT32_MIN, as elsewhere, not the nearest integer.
inline int32x4_t rounded(float32x4_t x) {
  return vbslq_s32(vcltq_f32(vabsq_f32(x), vdupq_n_f32(0x1p31f)), vcvtnq_s32_f32(x), vdupq_n_s32(INT32_MIN));
}
inline I32x16 to_i32(F32x16 x) { return {rounded(x.a), rounded(x.b), rounded(x.c), rounded(x.d)}; }
inline F32x16 as_f32(I32x16 x) {
  return {vreinterpretq_f32_s32(x.a), vreinterpretq_f32_s32(x.b), vreinterpretq_f32_s32(x.c), vreinterpretq_f32_s32(x.d)};
}
inline I32x16 as_i32(F32x16 x) {
  return {vreinterpretq_s32_f32(x.a), vreinterpretq_s32_f32(x.b), vreinterpretq_s32_f32(x.c), vreinterpretq_s32_f32(x.d)};
}
template <int N>
inline I32x16 shift_left(I32x16 x) {
  return {vshlq_n_s32(x.a, N), vshlq_n_s32(x.b, N), vshlq_n_s32(x.c, N), vshlq_n_s32(x.d, N)};
}
template <int N>
inline I32x16 shift_right(I32x16 x) {
  return {vshrq_n_s32(x.a, N), vshrq_n_s32(x.b, N), vshrq_n_s32(x.c, N), vshrq_n_s32(x.d, N)};
}  // keeps the sign
inline int8x16_t low_bytes(I32x16 v) {
  const int16x8_t low = vmovn_high_s32(vmovn_s32(v.a), v.b), high = vmovn_high_s32(vmovn_s32(v.c), v.d);
  return vmovn_high_s16(vmovn_s16(low), high);
}
/// Low byte of each lane, no saturation.
inline void store_i8(int8_t* p, I32x16 v) { vst1q_s8(p, low_bytes(v)); }
/// 64 bytes: the low bytes of four vectors' lanes, one vector after another.
inline I32x16 bytes_of(const I32x16 (&v)[4]) {
  return {vreinterpretq_s32_s8(low_bytes(v[0])), vreinterpretq_s32_s8(low_bytes(v[1])), vreinterpretq_s32_s8(low_bytes(v[2])),
          vreinterpretq_s32_s8(low_bytes(v[3]))};
}
/// Low half of each lane; values fit 16 bits.
inline void store_i16(int16_t* p, I32x16 v) {
  vst1q_s16(p, vmovn_high_s32(vmovn_s32(v.a), v.b));
  vst1q_s16(p + 8, vmovn_high_s32(vmovn_s32(v.c), v.d));
}

/// Hides from the compiler what v holds.
inline void keep(I32x16& v) { __asm__("" : "+w"(v.a), "+w"(v.b), "+w"(v.c), "+w"(v.d)); }

// Lines of 64 bytes: 16 rows x 4 consecutive k.
inline int32x4_t load_quarter(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
inline I32x16 load_line(const uint8_t* p) {
  return {load_quarter(p), load_quarter(p + 16), load_quarter(p + 32), load_quarter(p + 48)};
}
inline void store_line(uint8_t* p, I32x16 v) {
  vst1q_u8(p, vreinterpretq_u8_s32(v.a)), vst1q_u8(p + 16, vreinterpretq_u8_s32(v.b));
  vst1q_u8(p + 32, vreinterpretq_u8_s32(v.c)), vst1q_u8(p + 48, vreinterpretq_u8_s32(v.d));
}
inline I32x16 bits_and(I32x16 x, I32x16 y) {
  return {vandq_s32(x.a, y.a), vandq_s32(x.b, y.b), vandq_s32(x.c, y.c), vandq_s32(x.d, y.d)};
}
inline I32x16 bits_or(I32x16 x, I32x16 y) {
  return {vorrq_s32(x.a, y.a), vorrq_s32(x.b, y.b), vorrq_s32(x.c, y.c), vorrq_s32(x.d, y.d)};
}
/// Bits of `yes` where `mask` has ones, of `no` elsewhere.
inline I32x16 bits_select(I32x16 mask, I32x16 yes, I32x16 no) {
  const auto select = [](int32x4_t m, int32x4_t y, int32x4_t n) { return vbslq_s32(vreinterpretq_u32_s32(m), y, n); };
  return {select(mask.a, yes.a, no.a), select(mask.b, yes.b, no.b), select(mask.c, yes.c, no.c), select(mask.d, yes.d, no.d)};
}
template <int N>
inline int32x4_t shift_right_bits(int32x4_t x) {
  return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(x), N));
}
template <int N>
inline I32x16 shift_right_bits(I32x16 x) {
  return {shift_right_bits<N>(x.a), shift_right_bits<N>(x.b), shift_right_bits<N>(x.c), shift_right_bits<N>(x.d)};
}
inline int32x4_t shift_right_by(int32x4_t x, int n) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vdupq_n_s32(-n)));
}
inline I32x16 shift_right_by(I32x16 x, int n) {
  return {shift_right_by(x.a, n), shift_right_by(x.b, n), shift_right_by(x.c, n), shift_right_by(x.d, n)};
}
inline int32x4_t mul_words(int32x4_t x, int32x4_t y) {
  return vreinterpretq_s32_s16(vmulq_s16(vreinterpretq_s16_s32(x), vreinterpretq_s16_s32(y)));
}
inline I32x16 mul_words(I32x16 x, I32x16 y) {
  return {mul_words(x.a, y.a), mul_words(x.b, y.b), mul_words(x.c, y.c), mul_words(x.d, y.d)};
}
inline int32x4_t add_bytes(int32x4_t x, int32x4_t y) {
  return vreinterpretq_s32_s8(vaddq_s8(vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(y)));
}
inline I32x16 add_bytes(I32x16 x, I32x16 y) {
  return {add_bytes(x.a, y.a), add_bytes(x.b, y.b), add_bytes(x.c, y.c), add_bytes(x.d, y.d)};
}
/// Of each byte of `index`, 0 to 3, the byte of the same lane of `table`.
inline I32x16 lookup_bytes(I32x16 table, I32x16 index) {
  constexpr uint32_t kLanes[4] = {0, 0x04040404, 0x08080808, 0x0C0C0C0C};
  const uint8x16_t lanes = vreinterpretq_u8_u32(vld1q_u32(kLanes));
  const auto part = [&](int32x4_t t, int32x4_t i) {
    return vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(t), vorrq_u8(vreinterpretq_u8_s32(i), lanes)));
  };
  return {part(table.a, index.a), part(table.b, index.b), part(table.c, index.c), part(table.d, index.d)};
}
/// v, plus `addend` in the bytes where `bits` has the one bit that `mask` has.
inline I32x16 add_bytes_where(I32x16 v, I32x16 bits, I32x16 mask, I32x16 addend) {
  const auto part = [](int32x4_t x, int32x4_t b, int32x4_t m, int32x4_t y) {
    const uint8x16_t has = vtstq_u8(vreinterpretq_u8_s32(b), vreinterpretq_u8_s32(m));
    return vreinterpretq_s32_u8(vaddq_u8(vreinterpretq_u8_s32(x), vandq_u8(has, vreinterpretq_u8_s32(y))));
  };
  return {part(v.a, bits.a, mask.a, addend.a), part(v.b, bits.b, mask.b, addend.b), part(v.c, bits.c, mask.c, addend.c),
          part(v.d, bits.d, mask.d, addend.d)};
}
/// The four bytes at p in every lane.
inline I32x16 splat_dword(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return splat(v);
}

/// Four activations, where they lie among those of a q register.
struct ActDword {
  int8x16_t four;
  unsigned lane;
};
/// Dword i of those at p, i known to the compiler; all of the 16 bytes it lies in may be read.
inline ActDword act_dword(const void* p, unsigned i) { return {vld1q_s8(static_cast<const int8_t*>(p) + i / 4 * 16), i % 4}; }
constexpr bool kSignedLevels = true;     // levels are -128..127 where other instruction sets store 0..255
constexpr int kActSteps = 2;             // steps of one token side by side in the activations: 8 k, as SMMLA takes them
constexpr bool kSignedAbove127 = false;  // whether levels above 127 are stored with their signs instead
// Sums of products are 32 bits at once here; the words of other instruction sets are declared, not used.
constexpr int word_steps(int) { return 0; }
constexpr bool kWordParts = false;
using Words = I32x16;
Words pair_products(I32x16 w, I32x16 x);
Words add_words(Words x, Words y);
inline int32x4_t dot_bytes(int32x4_t acc, int32x4_t w, ActDword x) {
  const int8x16_t bytes = vreinterpretq_s8_s32(w);
  switch (x.lane) {  // known to the compiler: one instruction
    case 0:
      return vdotq_laneq_s32(acc, bytes, x.four, 0);
    case 1:
      return vdotq_laneq_s32(acc, bytes, x.four, 1);
    case 2:
      return vdotq_laneq_s32(acc, bytes, x.four, 2);
    default:
      return vdotq_laneq_s32(acc, bytes, x.four, 3);
  }
}
/// acc + sum of four products per lane, w and x signed bytes. Exact.
template <bool kSigned>
inline I32x16 dot_bytes(I32x16 acc, I32x16 w, ActDword x) {
  return {dot_bytes(acc.a, w.a, x), dot_bytes(acc.b, w.b, x), dot_bytes(acc.c, w.c, x), dot_bytes(acc.d, w.d, x)};
}
template <bool kSigned>
inline I32x16 dot_bytes(I32x16 acc, I32x16 w, I32x16 x) {
  const auto dot = [](int32x4_t sum, int32x4_t p, int32x4_t q) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(p), vreinterpretq_s8_s32(q));
  };
  return {dot(acc.a, w.a, x.a), dot(acc.b, w.b, x.b), dot(acc.c, w.c, x.c), dot(acc.d, w.d, x.d)};
}
constexpr bool kInterleavesSix = false;  // tokens are scattered one by one
void interleave_six(const I32x16 (&v)[6], int32_t* out);
/// Sums of four lanes each: lane 4 v + i of the result is that of lanes 4 i to 4 i + 3 of vector v.
inline I32x16 sums_of_four(const I32x16 (&v)[4]) {
  const auto all = [](const I32x16& x) { return vpaddq_s32(vpaddq_s32(x.a, x.b), vpaddq_s32(x.c, x.d)); };
  return {all(v[0]), all(v[1]), all(v[2]), all(v[3])};
}
/// acc + sum of two products of signed words per lane.
inline int32x4_t dot_words(int32x4_t acc, int32x4_t x, int32x4_t y) {
  const int16x8_t p = vreinterpretq_s16_s32(x), q = vreinterpretq_s16_s32(y);
  return vaddq_s32(acc, vpaddq_s32(vmull_s16(vget_low_s16(p), vget_low_s16(q)), vmull_high_s16(p, q)));
}
inline I32x16 dot_words(I32x16 acc, I32x16 x, I32x16 y) {
  return {dot_words(acc.a, x.a, y.a), dot_words(acc.b, x.b, y.b), dot_words(acc.c, x.c, y.c), dot_words(acc.d, x.d, y.d)};
}
inline void add_dot_words(I32x16& acc, I32x16 x, I32x16 y) { acc = dot_words(acc, x, y); }
inline float32x4_t f16_of_low(int32x4_t x) { return widen_f16(vmovn_u32(vreinterpretq_u32_s32(x))); }
inline float32x4_t f16_of_high(int32x4_t x) { return widen_f16(vshrn_n_u32(vreinterpretq_u32_s32(x), 16)); }
inline F32x16 f16_of_low(I32x16 x) { return {f16_of_low(x.a), f16_of_low(x.b), f16_of_low(x.c), f16_of_low(x.d)}; }
inline F32x16 f16_of_high(I32x16 x) { return {f16_of_high(x.a), f16_of_high(x.b), f16_of_high(x.c), f16_of_high(x.d)}; }

/// The tree of docs/numerics.md: lanes i and i + 8, then 4, 2, 1 apart.
inline float sum_lanes(F32x16 v) {
  const float32x4_t four = vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
constexpr int kTreesOfRows = 0;  // rows are reduced one by one
template <typename Op>
F32x16 tree_of_rows(const float (*rows)[16], Op op);  // of other instruction sets
inline float max_lanes(F32x16 v) {
  const F32x16 far = max(v, {v.c, v.d, v.a, v.b}), near = max(far, {far.b, far.a, far.d, far.c});
  float lanes[4];
  vst1q_f32(lanes, near.a);
  for (int apart = 2; apart > 0; apart /= 2)
    for (int i = 0; i < apart; ++i) lanes[i] = lanes[i] > lanes[i + apart] ? lanes[i] : lanes[i + apart];
  return lanes[0];
}

#include "backends/cpu/simd_powers.h"
