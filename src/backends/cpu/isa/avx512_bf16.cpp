// AVX-512 BF16: the AVX-512 kernels with products of bf16 for BF16 weights; and the loop that measures such products,
// 24 * 64 operations for each of n.
#include "backends/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
// GCC 12 warns of its own header (_mm512_undefined_ps).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")

namespace phial::cpu {
namespace avx512_bf16 {
#include "backends/cpu/simd_avx512.h"

/// sum + the product of the high halves, then of the low halves, each rounded.
inline F32x16 dot_bf16(F32x16 sum, I32x16 a, I32x16 b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

#include "backends/cpu/kernels/linear_parts.inl.h"
#include "backends/cpu/kernels/weight_pairs.inl.h"
#include "backends/cpu/kernels/linear_bf16.inl.h"

inline LinearKernels linear_kernels() {
  const LinearKernels& base = avx512_table().linear;
  static LinearFormat formats[kFormatCount];
  for (int i = 0; i < kFormatCount; ++i) formats[i] = base.formats[i];
  formats[static_cast<int>(DType::bf16)] = linear_format<DType::bf16>();
  return {formats, base.tile_panels, base.quantize_tile};
}
}  // namespace avx512_bf16

const KernelTable& avx512_bf16_table() {
  static const KernelTable table{"avx512_bf16", "AVX-512 VNNI and BF16", avx512_bf16::linear_kernels(), avx512_table().ops,
                                 avx512_table().limits};
  return table;
}

float bf16_peak(int64_t n) {
  __m512 sum[12];
  __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(0.5f)), b = a;
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (; n > 0; --n) {
    __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], b, a);
  }
#pragma GCC unroll 12
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return _mm512_cvtss_f32(sum[0]);
}

}  // namespace phial::cpu
#else
namespace phial::cpu {
float bf16_peak(int64_t) { return 0; }
}  // namespace phial::cpu
#endif
