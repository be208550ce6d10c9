// Read-only memory maps that survive a shrinking file. A SIGBUS inside one of our maps puts zero pages from the faulting
// page to the end of the map and marks the map broken; any other SIGBUS goes to the handler that was there before.
// The handler uses only lock-free atomics and the mmap system call.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/fail.h"
#include "base/file.h"

namespace phial {
namespace {

struct Slot {
  std::atomic<uintptr_t> begin{0};  // 0 = free, 1 = being filled
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> broken{false};
};

static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constexpr int kMaxMaps = 1024;
std::array<Slot, kMaxMaps> g_slots;
struct sigaction g_previous;
uintptr_t g_page = 4096;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Slot& slot : g_slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire), end = slot.end.load(std::memory_order_acquire);
    if (begin <= 1 || address < begin || address >= end) continue;
    const uintptr_t page = address & ~(g_page - 1);
    slot.broken.store(true, std::memory_order_release);
    if (::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        MAP_FAILED) {
      errno = saved;
      return;
    }
    break;
  }
  errno = saved;
  if (g_previous.sa_flags & SA_SIGINFO) {
    if (g_previous.sa_sigaction) return g_previous.sa_sigaction(signal, info, context);
  } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    return g_previous.sa_handler(signal);
  }
  // Not ours: with the default action in place the access faults again and ends the process as it would without us.
  struct sigaction fallback {};
  fallback.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &fallback, nullptr);
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    g_page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(SIGBUS, &action, &g_previous) != 0)
      fail(ErrorCode::io, "cannot install the handler for shrinking files: {}", std::strerror(errno));
  });
}

size_t whole_pages(size_t size) { return (size + g_page - 1) & ~(g_page - 1); }

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  install_handler();
  uint64_t size = 0;
  const int fd = open_regular_file(path, &size);
  if (size == 0) {
    ::close(fd);
    return;
  }
  int slot = 0;
  for (uintptr_t free = 0; slot < kMaxMaps && !g_slots[slot].begin.compare_exchange_strong(free, 1); free = 0) ++slot;
  if (slot == kMaxMaps) {
    ::close(fd);
    fail(ErrorCode::limit, "cannot map {}: {} files are mapped already", printable(path, 1024), kMaxMaps);
  }
  const int wanted = input_fault_hook ? input_fault_hook() : 0, fault = wanted < 0 && wanted != -EINTR ? wanted : 0;
  errno = -fault;
  void* data = fault < 0 ? MAP_FAILED : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const int number = errno;
  ::close(fd);
  if (data == MAP_FAILED) {
    g_slots[slot].begin.store(0);
    fail(number == ENOMEM ? ErrorCode::no_memory : ErrorCode::io, "cannot map {}: {}", printable(path, 1024),
         std::strerror(number));
  }
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
  slot_ = slot;
  g_slots[slot].broken.store(false);
  g_slots[slot].end.store(reinterpret_cast<uintptr_t>(data) + whole_pages(size));
  g_slots[slot].begin.store(reinterpret_cast<uintptr_t>(data), std::memory_order_release);
}

MappedFile::~MappedFile() {
  if (slot_ < 0) return;
  g_slots[slot_].begin.store(1);  // out of the handler's sight first: the kernel may give the range to somebody else
  ::munmap(const_cast<std::byte*>(data_), size_);
  g_slots[slot_].end.store(0);
  g_slots[slot_].begin.store(0);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), slot_(std::exchange(other.slot_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(slot_, other.slot_);
  return *this;
}

bool MappedFile::broken() const { return slot_ >= 0 && g_slots[slot_].broken.load(std::memory_order_acquire); }

}  // namespace phial
