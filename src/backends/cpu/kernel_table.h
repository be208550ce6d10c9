// One table of kernels per instruction set, filled in isa/<name>.cpp. Each of those files opens a target region, then
// includes simd_<name>.h and kernels/*.inl.h inside its own namespace. No standard library code may be instantiated in
// a target region: the linker keeps one copy of an inline function, and it must not be one that only new processors run.
#pragma once

#include <string>
#include <vector>

#include "backends/cpu/limit_kernels.h"
#include "backends/cpu/linear_kernels.h"
#include "backends/cpu/op_kernels.h"

namespace phial::cpu {

struct KernelTable {
  const char* name;         // as --isa takes it
  const char* description;  // "AVX-512 VNNI"
  LinearKernels linear;
  OpKernels ops;
  LimitKernels limits;
};

/// The best table this processor runs, or the one called `isa`. Throws UNSUPPORTED with the reason and what there is.
const KernelTable& kernel_table(const std::string& isa);
/// Names of the tables this processor runs, best first.
std::vector<std::string> runnable_isas();

// Defined in isa/*.cpp.
const KernelTable& generic_table();
#if defined(__x86_64__)
const KernelTable& avx2_table();
const KernelTable& avx_vnni_table();
const KernelTable& avx512_table();
const KernelTable& avx512_bf16_table();
const KernelTable& amx_table();
const KernelTable& amx_fp16_table();
#elif defined(__aarch64__)
const KernelTable& neon_table();
const KernelTable& i8mm_table();
#endif
const KernelTable& amx_plain_table();
const KernelTable& amx_fp16_plain_table();

}  // namespace phial::cpu
