// What this machine has and what of it is used. Sources: cpuid, /proc, /sys, cgroups; nothing is run or changed.
#include "phial/doctor.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/cpu_info.h"
#include "base/system_memory.h"
#include "base/fail.h"
#include "base/thread_pool.h"
#include "tensor/registry.h"

namespace phial {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

/// A "Name:   123 kB" row of /proc/meminfo, in GiB; -1 when absent.
double meminfo_gib(const std::string& name) {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) / (1 << 20);
  return -1;
}

DoctorLine processor() {
  const CpuInfo& cpu = cpu_info();
  std::string features;
  const auto add = [&](bool has, const char* name) {
    if (has) features += (features.empty() ? "" : ", ") + std::string(name);
  };
  add(cpu.avx2, "AVX2");
  add(cpu.avx_vnni, "AVX-VNNI");
  add(cpu.avx512, "AVX-512");
  add(cpu.avx512_vnni, "AVX-512 VNNI");
  add(cpu.avx512_bf16, "AVX-512 BF16");
  add(cpu.amx_int8, "AMX int8");
  add(cpu.amx_bf16, "AMX bf16");
  add(cpu.amx_fp16, "AMX fp16");
  add(cpu.dotprod, "NEON dot products");
  add(cpu.i8mm, "NEON int8 matrices");
  return {"processor", "ok",
          fmt::format("{}: {}", cpu.model.empty() ? "unknown" : cpu.model,
                      features.empty() ? "no vector extension known here" : features)};
}

DoctorLine kernels() {
  try {
    return {"kernels", "ok",
            open_device("cpu", {.pool = std::make_shared<ThreadPool>(1), .isa = "", .huge_pages = true, .low_memory = false})
                ->description()};
  } catch (const Error& e) {
    return {"kernels", "missing", e.what()};
  }
}

DoctorLine cores() {
  const int used = default_thread_count();
  const int seen = static_cast<int>(std::thread::hardware_concurrency());
  std::string text = fmt::format("{} threads by default, of {} processors seen", used, seen);
  if (used < seen) text += " (hyper-threads, the affinity mask or a cgroup quota account for the rest; -t N overrides)";
  return {"cores", "ok", text};
}

DoctorLine memory() {
  const double total = meminfo_gib("MemTotal"), available = meminfo_gib("MemAvailable");
  if (total < 0) return {"memory", "missing", "/proc/meminfo cannot be read: the context is not fitted to the memory, give -c"};
  std::string text = fmt::format("{:.1f} GiB, {:.1f} GiB available", total, available);
  const std::string limit = first_line("/sys/fs/cgroup/memory.max");
  if (!limit.empty() && limit != "max") text += fmt::format("; the cgroup allows {:.1f} GiB", std::stod(limit) / (1 << 30));
  return {"memory", "ok", text};
}

DoctorLine huge_pages() {
  const std::string state = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  if (state.empty())
    return {"huge pages", "missing", "the kernel has no transparent huge pages; decoding is up to a fifth slower without"};
  if (state.find("[never]") != std::string::npos)
    return {"huge pages", "unused", "switched off; as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
  if (!huge_pages_are_quick())
    return {"huge pages", "unused",
            fmt::format("slow to get here ({:.1f} ms each; a host that takes freed memory back): large matrices use small pages",
                        huge_page_ms())};
  return {"huge pages", "ok", fmt::format("transparent huge pages ({}) hold the weights; --no-huge-pages turns that off", state)};
}

DoctorLine amx() {
  const CpuInfo& cpu = cpu_info();
  if (!cpu.amx_int8) return {"AMX", "missing", "this processor has no tiles; nothing to do"};
  if (!cpu.tiles_granted)
    return {"AMX", "unused", "the kernel does not let this process use the tiles (Linux 5.16 or later does); AVX-512 is used"};
  if (!cpu.amx_bf16 || !cpu.avx512_vnni)
    return {"AMX", "unused", "the tiles lack bf16, or the processor AVX-512 VNNI; the kernels need both"};
  return {"AMX", "ok", "tiles multiply steps of 16 tokens and more, and BF16 weights"};
}

DoctorLine gpu() {
  std::string found;
  const auto look = [&](const char* path, const char* name) {
    if (access(path, F_OK) == 0) found += (found.empty() ? "" : ", ") + std::string(name);
  };
  look("/dev/nvidiactl", "an NVIDIA driver");
  look("/dev/kfd", "an AMD compute driver");
  look("/dev/dri/renderD128", "a render device");
  if (found.empty())
    return {"GPU", "missing", "no driver found (/dev/nvidiactl, /dev/kfd, /dev/dri); --gpu-layers runs on the CPU"};
  return {"GPU", "unused", found + " found; this build has no GPU backend, --gpu-layers runs on the CPU"};
}

}  // namespace

std::vector<DoctorLine> doctor() { return {processor(), kernels(), cores(), memory(), huge_pages(), amx(), gpu()}; }

}  // namespace phial
