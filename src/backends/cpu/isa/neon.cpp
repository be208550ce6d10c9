// The kernels as NEON code with dot products of bytes.
#include "backends/cpu/kernel_table.h"

#if defined(__aarch64__)
#include <arm_neon.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
#pragma GCC optimize("no-schedule-insns")  // before registers are given out: it spills the sums of tiles
#pragma GCC target("arch=armv8.2-a+dotprod")

namespace phial::cpu {
namespace neon {
#define PHIAL_OWN_TILES "backends/cpu/kernels/linear_tiles_neon.inl.h"
#include "backends/cpu/simd_neon.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"
}  // namespace neon

const KernelTable& neon_table() {
  static const KernelTable table{"neon", "NEON dot products", neon::linear_kernels(), neon::op_kernels(), neon::limit_kernels()};
  return table;
}

}  // namespace phial::cpu
#endif
