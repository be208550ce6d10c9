// The operator new of this program, and the runs; see inject.h.
#include "inject.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <vector>

#include "base/file.h"
#include "phial/error.h"

namespace {

std::atomic<int64_t> live{0};         // allocations not given back
std::atomic<uint64_t> made{0};        // allocations since the run began
std::atomic<uint64_t> fail_from{0};   // the first that fails; 0 = none
std::atomic<bool> fail_after{false};  // and all after it

void* allocate(size_t size, size_t alignment) {
  const uint64_t number = made.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint64_t first = fail_from.load(std::memory_order_relaxed);
  if (first != 0 && (number == first || (number > first && fail_after.load(std::memory_order_relaxed)))) throw std::bad_alloc();
  size = std::max(size, size_t{1});
  void* p = alignment <= 16 ? std::malloc(size) : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!p) throw std::bad_alloc();
  live.fetch_add(1, std::memory_order_relaxed);
  return p;
}

void release(void* p) {
  if (!p) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}

}  // namespace

void* operator new(size_t size) { return allocate(size, 16); }
void* operator new[](size_t size) { return allocate(size, 16); }
void* operator new(size_t size, std::align_val_t alignment) { return allocate(size, static_cast<size_t>(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return allocate(size, static_cast<size_t>(alignment)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return allocate(size, 16);
  } catch (...) {
    return nullptr;
  }
}
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, size_t) noexcept { release(p); }
void operator delete[](void* p, size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }

namespace phial::test {
namespace {

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

size_t n_descriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

struct Ended {
  bool success = false;
  std::string code;
};

Ended run(const std::function<void()>& body) {
  try {
    body();
    return {true, ""};
  } catch (const Error& error) {
    return {false, error.code_text()};
  } catch (const std::bad_alloc&) {
    return {false, "NOMEM"};
  }
}

}  // namespace

FaultRuns inject(Fault fault, const std::string& folder, const std::function<void()>& body, uint64_t step) {
  const bool memory = fault == Fault::allocation || fault == Fault::all_allocations;
  body();  // tables that are made once
  FaultRuns total;
  std::atomic<uint64_t> n_reads{0};
  input_fault_hook = [&] { return n_reads.fetch_add(1), 0; };
  made = 0;
  body();
  total.places = memory ? made.load() : n_reads.load();
  input_fault_hook = nullptr;
  const std::vector<std::string> before = files_of(folder);
  for (uint64_t n = 1, warm = 0; n <= total.places + 1; n += warm++ == 0 ? 0 : step) {
    const int64_t live_before = live;
    const size_t descriptors = n_descriptors();
    n_reads = 0;
    if (!memory)
      input_fault_hook = [&, n] {
        const uint64_t number = n_reads.fetch_add(1) + 1;
        if (fault == Fault::many_short_reads) return number >= n ? static_cast<int>(number % 12) + 1 : 0;
        if (number != n) return 0;
        return fault == Fault::read_error ? -EIO : fault == Fault::interrupted ? -EINTR : 1;
      };
    made = 0;
    fail_after = fault == Fault::all_allocations;
    fail_from = memory ? n : 0;
    const Ended ended = run(body);
    fail_from = 0;
    input_fault_hook = nullptr;
    CAPTURE(n);
    CAPTURE(static_cast<int>(fault));
    if (warm == 0) continue;  // the first error and the first message of a process make tables too
    ++total.tried;
    ++(ended.success ? total.succeeded : total.failed);
    if (!ended.success) {
      const char* wanted = memory ? "NOMEM" : "IO";
      if (ended.code != wanted) FAIL_CHECK("ended with " << ended.code);
      if (!memory && fault != Fault::read_error) FAIL_CHECK("a short or interrupted read is no error");
    }
    const size_t descriptors_after = n_descriptors();
    if (descriptors_after != descriptors) FAIL_CHECK("open descriptors: " << descriptors << ", then " << descriptors_after);
    if (live != live_before + static_cast<int64_t>(ended.code.capacity() > 15))
      FAIL_CHECK("allocations left: " << live - live_before);
    if (const auto after = files_of(folder); after != before) FAIL_CHECK("files left behind: " << after.size() - before.size());
  }
  return total;
}

}  // namespace phial::test
