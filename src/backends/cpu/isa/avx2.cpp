// The kernels as AVX2 code.
#include "backends/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
#pragma GCC target("avx2,fma,f16c,bmi,bmi2")

namespace phial::cpu {
namespace avx2 {
#include "backends/cpu/simd_avx2.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"
}  // namespace avx2

const KernelTable& avx2_table() {
  static const KernelTable table{"avx2", "AVX2", avx2::linear_kernels(), avx2::op_kernels(), avx2::limit_kernels()};
  return table;
}

}  // namespace phial::cpu
#endif
