// The kernels as AVX-VNNI code.
#include "backends/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avxvnni")

namespace phial::cpu {
namespace avx_vnni {
#define PHIAL_AVX_VNNI
#include "backends/cpu/simd_avx2.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"
}  // namespace avx_vnni

const KernelTable& avx_vnni_table() {
  static const KernelTable table{"avx_vnni", "AVX-VNNI", avx_vnni::linear_kernels(), avx_vnni::op_kernels(),
                                 avx_vnni::limit_kernels()};
  return table;
}

}  // namespace phial::cpu
#endif
