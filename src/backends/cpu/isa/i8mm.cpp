// The kernels as NEON code with products of byte matrices.
#include "backends/cpu/kernel_table.h"

#if defined(__aarch64__)
#include <arm_neon.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
#pragma GCC optimize("no-schedule-insns")  // before registers are given out: it spills the sums of tiles
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")

namespace phial::cpu {
namespace i8mm {
#define PHIAL_I8MM
#define PHIAL_OWN_TILES "backends/cpu/kernels/linear_tiles_neon.inl.h"
#include "backends/cpu/simd_neon.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"

/// n times 48 products of 2 x 8 times 8 x 2 bytes: as many operations as int8_peak.
inline int32_t matrix_peak(int64_t n) {
  int32x4_t sum[2][12];
  PHIAL_UNROLL
  for (int i = 0; i < 12; ++i) sum[0][i] = sum[1][i] = vdupq_n_s32(static_cast<int32_t>(n) + i);
  I32x16 w = splat(0x01020304);
  for (; n > 0; --n) {
    keep(w);
    const int8x16_t a = vreinterpretq_s8_s32(w.a), b = vreinterpretq_s8_s32(w.b);
    PHIAL_UNROLL
    for (int round = 0; round < 2; ++round) PHIAL_UNROLL
    for (int half = 0; half < 2; ++half) PHIAL_UNROLL
    for (int i = 0; i < 12; ++i) sum[half][i] = vmmlaq_s32(sum[half][i], a, b);
  }
  PHIAL_UNROLL
  for (int i = 0; i < 12; ++i) sum[0][0] = vaddq_s32(sum[0][0], vaddq_s32(sum[0][i], sum[1][i]));
  return vaddvq_s32(sum[0][0]);
}
}  // namespace i8mm

const KernelTable& i8mm_table() {
  static const KernelTable table{"i8mm",
                                 "NEON int8 matrices",
                                 i8mm::linear_kernels(),
                                 i8mm::op_kernels(),
                                 {i8mm::matrix_peak, i8mm::f32_peak, i8mm::read_peak}};
  return table;
}

}  // namespace phial::cpu
#endif
