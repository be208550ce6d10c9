// Processors, priority, memory locking, colours, log.
#include "process_flags.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include "terminal.h"

namespace phial::cli {
namespace {

void set_affinity(const cpu_set_t& set, const std::string& flag) {
  if (CPU_COUNT(&set) == 0) throw Usage(flag + " names no processor");
  if (sched_setaffinity(0, sizeof set, &set) != 0) throw Usage(flag + ": " + std::strerror(errno));
}

/// "0xF0": the last digit holds processors 0 to 3.
void add_mask(cpu_set_t& set, std::string hex) {
  if (hex.compare(0, 2, "0x") == 0 || hex.compare(0, 2, "0X") == 0) hex.erase(0, 2);
  for (size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[hex.size() - 1 - i];
    if (!isxdigit(static_cast<unsigned char>(c)) || 4 * i + 3 >= CPU_SETSIZE)
      throw Usage("--cpu-mask wants hexadecimal digits for at most " + std::to_string(CPU_SETSIZE) + " processors");
    const int bits = std::stoi(std::string(1, c), nullptr, 16);
    for (size_t b = 0; b < 4; ++b)
      if (bits >> b & 1) CPU_SET(4 * i + b, &set);
  }
}

void add_range(cpu_set_t& set, const std::string& text) {
  int first = 0, last = 0;
  const size_t dash = text.find('-');
  if (dash == std::string::npos || !CLI::detail::lexical_cast(text.substr(0, dash), first) ||
      !CLI::detail::lexical_cast(text.substr(dash + 1), last) || first < 0 || last < first || last >= CPU_SETSIZE)
    throw Usage("--cpu-range wants FIRST-LAST, not '" + text + "'");
  for (int cpu = first; cpu <= last; ++cpu) CPU_SET(cpu, &set);
}

void set_priority(const std::string& text) {
  int level = 0;
  if (!CLI::detail::lexical_cast(text, level) || level < -1 || level > 3) throw Usage("--prio wants a number from -1 to 3");
  constexpr int kNice[] = {10, 0, -5, -10, -20};
  if (level != 0 && setpriority(PRIO_PROCESS, 0, kNice[level + 1]) != 0)
    note("--prio " + text + " has no effect: " + std::strerror(errno) + "; only root may raise the priority");
}

/// Locks every page as it is touched. Under a limit it is not tried: mappings beyond the limit would fail later.
void lock_memory() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur != RLIM_INFINITY) {
    // A process with the privilege may lock more than the limit.
    const size_t size = static_cast<size_t>(limit.rlim_cur) + 4096;
    void* probe = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const bool privileged = probe != MAP_FAILED && mlock2(probe, size, MLOCK_ONFAULT) == 0;
    if (probe != MAP_FAILED) munmap(probe, size);
    if (!privileged)
      return note("--mlock has no effect: this process may not lock memory; raise the limit with: ulimit -l unlimited");
  }
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) note(std::string("--mlock has no effect: ") + std::strerror(errno));
}

}  // namespace

void add_process_flags(Flags& f) {
  f.group("Process and log");
  const auto set = std::make_shared<cpu_set_t>();
  CPU_ZERO(set.get());
  f.action("--cpu-mask,-C", "HEX", "", "0xFF", "Run on these processors only", [set](const std::string& hex) {
    add_mask(*set, hex);
    set_affinity(*set, "--cpu-mask");
  });
  f.action("--cpu-range,-Cr", "FIRST-LAST", "", "0-7", "Run on these processors only, added to --cpu-mask",
           [set](const std::string& range) {
             add_range(*set, range);
             set_affinity(*set, "--cpu-range");
           });
  f.action("--prio", "-1|0|1|2|3", "0", "2", "Priority from low to that of no other process", set_priority);
  f.action("--mlock", "", "off", "", "Keep memory from being swapped out", [](const std::string&) { lock_memory(); });
  f.action(
      "--color,-co", "on|off|auto", "auto", "off", "Colours; auto = on a terminal",
      [](const std::string& mode) {
        if (mode != "on" && mode != "off" && mode != "auto") throw Usage("--color: '" + mode + "' is not on, off or auto");
        set_colour_mode(mode);
      },
      "on");
  f.action("--log-disable", "", "off", "", "No notes and timings on standard error", [](const std::string&) { silence_log(); });
  f.action("--log-file", "FILE", "", "phial.log", "Add notes and timings to a file", open_log_file);
}

void add_load_mode_flag(Flags& f, bool& mmap) {
  f.action("--load-mode,-lm", "auto|none|mmap|mlock|mmap+mlock|dio", "auto", "mmap", "llama.cpp's word for --mmap and --mlock",
           [&mmap](const std::string& mode) {
             static const std::set<std::string> known = {"auto", "none", "mmap", "mlock", "mmap+mlock", "dio"};
             if (!known.count(mode)) throw Usage("--load-mode: '" + mode + "' is not auto, none, mmap, mlock, mmap+mlock or dio");
             mmap = mode == "mmap" || mode == "mmap+mlock";
             if (mode == "mlock" || mode == "mmap+mlock") lock_memory();
             if (mode == "dio") note("--load-mode dio has no effect: files are read through the page cache");
           });
}

}  // namespace phial::cli
