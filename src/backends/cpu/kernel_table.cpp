// Chooses the kernels this processor runs.
#include "backends/cpu/kernel_table.h"

#include <optional>
#include <span>

#include "base/cpu_info.h"
#include "base/fail.h"

namespace phial::cpu {
namespace {

struct Isa {
  const char* name;
  const KernelTable& (*table)();
  bool (*runs)(const CpuInfo&);
  const char* needs;
};

// Best first.
constexpr Isa kIsas[] = {
#if defined(__x86_64__)
    {"avx512", avx512_table, [](const CpuInfo& c) { return c.avx512_vnni; }, "AVX-512 F, BW, DQ, VL and VNNI"},
    {"avx_vnni", avx_vnni_table, [](const CpuInfo& c) { return c.avx_vnni; }, "AVX2, FMA, F16C and AVX-VNNI"},
    {"avx2", avx2_table, [](const CpuInfo& c) { return c.avx2; }, "AVX2, FMA and F16C"},
#endif
    {"generic", generic_table, [](const CpuInfo&) { return true; }, "nothing"},
};

}  // namespace

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas)
    if (isa.runs(cpu_info())) names.emplace_back(isa.name);
  return names;
}

const KernelTable& kernel_table(const std::string& wanted) {
  std::string names;
  for (const Isa& isa : kIsas) {
    const bool runs = isa.runs(cpu_info());
    if (wanted.empty() ? runs : wanted == isa.name && runs) return isa.table();
    if (wanted == isa.name)
      fail(ErrorCode::unsupported, "--isa {}: this processor ({}) lacks {}", wanted, cpu_info().model, isa.needs);
    if (runs) names += (names.empty() ? "" : ", ") + std::string(isa.name);
  }
  if (wanted == "amx" || wanted == "neon" || wanted == "i8mm")
    fail(ErrorCode::unsupported, "--isa {}: these kernels are not in this build; there are: {}, reference", wanted, names);
  fail(ErrorCode::unsupported, "--isa {}: no such instruction set; there are: {}, reference", printable(wanted), names);
}

}  // namespace phial::cpu
