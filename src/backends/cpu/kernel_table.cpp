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

#if defined(__x86_64__)
constexpr auto kHasAmx = [](const CpuInfo& c) { return c.avx512_vnni && c.amx_int8 && c.amx_bf16 && c.tiles_granted; };
#endif

// Best first.
constexpr Isa kIsas[] = {
#if defined(__x86_64__)
    {"amx_fp16", amx_fp16_table, [](const CpuInfo& c) { return kHasAmx(c) && c.amx_fp16 && c.avx512_fp16; },
     "AMX int8, bf16 and fp16 that the kernel lets programs use"},
    {"amx", amx_table, kHasAmx, "AMX int8 and bf16 that the kernel lets programs use"},
    {"avx512_bf16", avx512_bf16_table, [](const CpuInfo& c) { return c.avx512_vnni && c.avx512_bf16; },
     "AVX-512 F, BW, DQ, VL, VNNI and BF16"},
    {"avx512", avx512_table, [](const CpuInfo& c) { return c.avx512_vnni; }, "AVX-512 F, BW, DQ, VL and VNNI"},
    {"avx_vnni", avx_vnni_table, [](const CpuInfo& c) { return c.avx_vnni; }, "AVX2, FMA, F16C and AVX-VNNI"},
    {"avx2", avx2_table, [](const CpuInfo& c) { return c.avx2; }, "AVX2, FMA and F16C"},
#elif defined(__aarch64__)
    {"i8mm", i8mm_table, [](const CpuInfo& c) { return c.i8mm; }, "products of int8 matrices (i8mm)"},
    {"neon", neon_table, [](const CpuInfo& c) { return c.dotprod; }, "dot products (asimddp)"},
#endif
    {"generic", generic_table, [](const CpuInfo&) { return true; }, "nothing"},
    // Never the best: for tests.
    {"amx_plain", amx_plain_table, [](const CpuInfo&) { return true; }, "nothing"},
    {"amx_fp16_plain", amx_fp16_plain_table, [](const CpuInfo&) { return true; }, "nothing"},
};

struct OtherIsa {
  const char* name;
  const char* processors;
};
constexpr OtherIsa kOtherIsas[] = {
#if !defined(__x86_64__)
    {"amx_fp16", "x86-64"}, {"amx", "x86-64"},      {"avx512_bf16", "x86-64"},
    {"avx512", "x86-64"},   {"avx_vnni", "x86-64"}, {"avx2", "x86-64"},
#endif
#if !defined(__aarch64__)
    {"i8mm", "ARM"},        {"neon", "ARM"},
#endif
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
    if (!isa.runs(cpu_info())) continue;
    if (wanted.empty() || wanted == isa.name) return isa.table();
    names += std::string(isa.name) + ", ";
  }
  names += "reference";
  const std::string& model = cpu_info().model;
  for (const Isa& isa : kIsas)
    if (wanted == isa.name)
      fail(ErrorCode::unsupported, "--isa {}: this processor ({}) lacks {}; there are: {}", wanted, model, isa.needs, names);
  for (const OtherIsa& other : kOtherIsas)
    if (wanted == other.name)
      fail(ErrorCode::unsupported, "--isa {}: for {} processors, and this is another ({}); there are: {}", wanted,
           other.processors, model, names);
  fail(ErrorCode::unsupported, "--isa {}: no such instruction set; there are: {}", printable(wanted), names);
}

}  // namespace phial::cpu
