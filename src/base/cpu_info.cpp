// Processor features from cpuid or the auxiliary vector, core counts from the affinity mask, sysfs topology and the cgroup quota.
#include "base/cpu_info.h"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace phial {
namespace {

#if defined(__x86_64__)
struct Regs {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Regs cpuid(uint32_t leaf, uint32_t sub = 0) {
  Regs r;
  if (!__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

uint64_t saved_state() {
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return static_cast<uint64_t>(hi) << 32 | lo;
}

/// The registers of tiles are given to processes that ask (Linux 5.16 and later).
bool tiles_granted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

void append_text(std::string& text, std::initializer_list<uint32_t> words) {
  for (uint32_t w : words)
    for (int i = 0; i < 4; ++i)
      if (const char c = static_cast<char>(w >> (8 * i)); c != 0) text += c;
}

CpuInfo detect() {
  CpuInfo info;
  const Regs vendor = cpuid(0);
  append_text(info.vendor, {vendor.b, vendor.d, vendor.c});
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Regs r = cpuid(leaf);
    append_text(info.model, {r.a, r.b, r.c, r.d});
  }
  while (!info.model.empty() && info.model.back() == ' ') info.model.pop_back();

  // Hosts hide which processor a name like "AMD EPYC" is; figures of two generations must not be taken for one machine's.
  const uint32_t id = cpuid(1).a, family = id >> 8 & 15, more = family == 15 ? id >> 20 & 255 : 0;
  info.model += fmt::format(" (family {} model {})", family + more, (id >> 4 & 15) + (id >> 12 & 0xF0));

  const Regs one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
  const auto bit = [](uint32_t word, int i) { return (word >> i & 1) != 0; };
  if (!bit(one.c, 27)) return info;  // OSXSAVE
  const uint64_t saved = saved_state();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xE6) == 0xE6, tiles = (saved & 0x60000) == 0x60000;
  info.avx2 = ymm && bit(seven.b, 5) && bit(one.c, 12) && bit(one.c, 29);
  info.avx_vnni = info.avx2 && bit(seven_one.a, 4);
  info.avx512 = zmm && info.avx2 && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31);
  info.avx512_vnni = info.avx512 && bit(seven.c, 11);
  info.avx512_vbmi = info.avx512 && bit(seven.c, 1);
  info.avx512_bf16 = info.avx512 && bit(seven_one.a, 5);
  info.amx_int8 = tiles && bit(seven.d, 25);
  info.amx_bf16 = tiles && bit(seven.d, 22);
  info.avx512_fp16 = info.avx512 && bit(seven.d, 23);
  info.amx_fp16 = tiles && bit(seven_one.a, 21);
  info.tiles_granted = info.amx_int8 && tiles_granted();
  return info;
}
#elif defined(__aarch64__)
CpuInfo detect() {
  struct Core {
    uint64_t part;  // implementer and part number of MIDR_EL1
    const char* name;
  };
  constexpr Core kCores[] = {
      {0x41D03, "Cortex-A53"},  {0x41D07, "Cortex-A57"},  {0x41D08, "Cortex-A72"},  {0x41D0B, "Cortex-A76"},
      {0x41D0C, "Neoverse N1"}, {0x41D40, "Neoverse V1"}, {0x41D49, "Neoverse N2"}, {0x41D4F, "Neoverse V2"},
      {0x41D84, "Neoverse V3"}, {0x41D8E, "Neoverse N3"},
  };
  CpuInfo info;
  const uint64_t has = getauxval(AT_HWCAP), has_2 = getauxval(AT_HWCAP2);
  info.dotprod = (has & HWCAP_ASIMDDP) != 0;
  info.i8mm = info.dotprod && (has_2 & HWCAP2_I8MM) != 0;
  info.vendor = "ARM";
  info.model = "ARM";
  if ((has & HWCAP_CPUID) == 0) return info;
  uint64_t midr;
  __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
  const uint64_t part = (midr >> 24 & 0xFF) << 12 | (midr >> 4 & 0xFFF);
  info.model = fmt::format("ARM core {:#x}", part);
  for (const Core& core : kCores)
    if (core.part == part) info.model = core.name;
  return info;
}
#else
CpuInfo detect() { return {}; }
#endif

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

/// CPUs' worth of time the cgroup grants (version 2, else 1), or a large number.
double cgroup_cpus() {
  constexpr double kUnlimited = 1e9;
  std::istringstream v2(first_line("/sys/fs/cgroup/cpu.max"));
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && period > 0) {
    if (quota == "max") return kUnlimited;
    std::istringstream number(quota);
    double q = 0;
    if (number >> q && q > 0) return q / period;
  }
  double q = 0, p = 0;
  std::istringstream v1_quota(first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  std::istringstream v1_period(first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  if (v1_quota >> q && v1_period >> p && q > 0 && p > 0) return q / p;
  return kUnlimited;
}

int count_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::set<std::string> cores;  // siblings of one core share this line
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::string siblings = first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  const double granted = std::max(1.0, std::floor(cgroup_cpus() + 0.01));
  return static_cast<int>(std::min<double>(static_cast<double>(std::max<size_t>(cores.size(), 1)), granted));
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = detect();
  return info;
}

int usable_physical_cores() {
  static const int cores = count_cores();
  return cores;
}

}  // namespace phial
