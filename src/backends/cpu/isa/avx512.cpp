// The kernels as AVX-512 VNNI code.
#include "backends/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
// GCC 12 warns of its own header (_mm512_undefined_ps).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace phial::cpu {
namespace avx512 {
#include "backends/cpu/simd_avx512.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"
}  // namespace avx512

const KernelTable& avx512_table() {
  static const KernelTable table{"avx512", "AVX-512 VNNI", avx512::linear_kernels(), avx512::op_kernels(),
                                 avx512::limit_kernels()};
  return table;
}

}  // namespace phial::cpu
#endif
