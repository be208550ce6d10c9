// The kernels as plain C++ code.
#include "backends/cpu/kernel_table.h"

// The plain twin is for any processor and for tests: -O3 only makes it three times slower to compile.
#pragma GCC optimize("O2")

namespace phial::cpu {
namespace generic {
#include "backends/cpu/simd_generic.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
#include "backends/cpu/kernels/limits.inl.h"
}  // namespace generic

const KernelTable& generic_table() {
  static const KernelTable table{"generic", "plain C++", generic::linear_kernels(), generic::op_kernels(),
                                 generic::limit_kernels()};
  return table;
}

}  // namespace phial::cpu
