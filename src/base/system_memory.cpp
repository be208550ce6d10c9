// Free memory by /proc/meminfo and the control group's limits (versions 2 and 1).
#include "base/system_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>

namespace phial {
namespace {

/// The first number of a small file; none = unlimited ("max" in control groups).
uint64_t number_in(const char* path) {
  std::ifstream in(path);
  uint64_t value = 0;
  return in >> value ? value : std::numeric_limits<uint64_t>::max();
}

/// The value behind a word at the start of a line, in the file's unit, or 0.
uint64_t value_of(const char* path, const std::string& word) {
  std::ifstream in(path);
  std::string first;
  uint64_t value = 0;
  while (in >> first) {
    if (first == word && in >> value) return value;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

/// What a group leaves; its file cache that can be dropped counts as free.
uint64_t left_in_group(const char* limit, const char* used, const char* stat) {
  const uint64_t most = number_in(limit);
  if (most == std::numeric_limits<uint64_t>::max()) return most;
  const uint64_t taken = number_in(used), cache = value_of(stat, "inactive_file");
  if (taken == std::numeric_limits<uint64_t>::max()) return most;
  const uint64_t held = taken > cache ? taken - cache : 0;
  return most > held ? most - held : 0;
}

}  // namespace

uint64_t available_memory() {
  const uint64_t machine = value_of("/proc/meminfo", "MemAvailable:") * 1024;
  const uint64_t v2 = left_in_group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat");
  const uint64_t v1 = left_in_group("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                    "/sys/fs/cgroup/memory/memory.stat");
  const uint64_t group = std::min(v1, v2);
  if (machine == 0) return group == std::numeric_limits<uint64_t>::max() ? 0 : group;
  return std::min(machine, group);
}

uint64_t resident_memory() { return value_of("/proc/self/status", "VmRSS:") * 1024; }

uint64_t page_bytes(bool huge_pages) {
  constexpr uint64_t kSmall = 4u << 10, kHuge = 2u << 20;
  if (!huge_pages) return kSmall;
  std::ifstream in("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string state;
  return std::getline(in, state) && state.find("[never]") == std::string::npos ? kHuge : kSmall;
}

double huge_page_ms() {
  static const double result = [] {
    constexpr size_t kHuge = 2u << 20, kPages = 8;
    void* base = mmap(nullptr, (kPages + 1) * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return 0.0;
    auto* data = static_cast<volatile char*>(base) + (kHuge - reinterpret_cast<uintptr_t>(base) % kHuge) % kHuge;
    madvise(const_cast<char*>(data), kPages * kHuge, MADV_HUGEPAGE);
    const auto begin = std::chrono::steady_clock::now();
    for (size_t i = 0; i < kPages; ++i) data[i * kHuge] = 1;
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    munmap(base, (kPages + 1) * kHuge);
    return time.count() / kPages;
  }();
  return result;
}

}  // namespace phial
