// What the processor can do and how many cores this process may use. Asked once, then constant.
#pragma once

#include <string>

namespace phial {

struct CpuInfo {
  std::string vendor, model;
  bool avx2 = false;  // with fma, f16c and the system saving ymm
  bool avx_vnni = false;
  bool avx512 = false;  // f, bw, dq, vl, with the system saving zmm
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool avx512_vbmi = false;
  bool avx512_fp16 = false;
  bool amx_int8 = false;  // the instructions
  bool amx_bf16 = false;
  bool amx_fp16 = false;
  bool tiles_granted = false;  // the kernel lets this process use AMX's registers; it was asked
  bool dotprod = false;        // ARM: SDOT and UDOT
  bool i8mm = false;           // ARM: SMMLA, with dotprod
};

const CpuInfo& cpu_info();

/// Cores this process may use: affinity mask, cgroup quota and SMT taken into account; at least 1.
int usable_physical_cores();

}  // namespace phial
