// The worker threads. Every wait is on a Signal: a word in its own cache line that is spun on for some microseconds, then
// slept on, so that a step's many short regions cost little and an idle or crowded process burns nothing. Worker 0 (the
// caller) gathers the others' words and releases them with one store; no word is written by two threads. But for `claimed`:
// where a region may go without a worker, the first of the two to write it decides whether the worker takes part.
#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_info.h"
#include "base/fail.h"

namespace phial {
namespace {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/// A counter one thread advances and others wait for.
struct alignas(64) Signal {
  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> sleepers{0};

  void set(uint32_t v) {
    value.store(v);  // sequentially consistent, as sleepers below: a sleeper sees v, or we see the sleeper
    if (sleepers.load() != 0) syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }

  void wait_for(uint32_t v) {
    wait([v](uint32_t now) { return now == v; });
  }
  uint32_t wait_beyond(uint32_t v) {
    return wait([v](uint32_t now) { return now != v; });
  }

 private:
  template <typename Reached>
  uint32_t wait(Reached reached) {
    if (const uint32_t now = value.load(std::memory_order_acquire); reached(now)) return now;
    using Clock = std::chrono::steady_clock;
    constexpr auto kSpin = std::chrono::microseconds(8), kYield = std::chrono::microseconds(50);
    const auto start = Clock::now();
    for (;;) {
      for (int i = 0; i < 64; ++i) {
        if (const uint32_t now = value.load(std::memory_order_acquire); reached(now)) return now;
        relax();
      }
      const auto waited = Clock::now() - start;
      if (waited > kYield) break;
      if (waited > kSpin) std::this_thread::yield();  // whom we wait for may want this core
    }
    sleepers.fetch_add(1);
    uint32_t now;
    while (!reached(now = value.load())) syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, now, nullptr, nullptr, 0);
    sleepers.fetch_sub(1);
    return now;
  }
};

constexpr int kMaxThreads = 4095;  // what the start word can count

/// The pool whose body this thread is running.
thread_local const void* running_pool = nullptr;

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int count) : n(count), active(count), workers(static_cast<size_t>(count)) { set_parking(); }

  static constexpr uint32_t kActiveBits = 12;  // of the start word; the rest counts regions
  static constexpr uint32_t kRegions = 1u << (32 - kActiveBits);

  struct Worker {
    Signal done;     // the start word of the last region finished
    Signal arrived;  // barriers reached
    uint32_t n_barriers = 0;
    alignas(64) std::atomic<uint32_t> claimed{0};  // number of the last region that the worker began, or that went without it

    /// True for one of those who call it for a region: the worker, or the caller who needs it no more.
    bool claim(uint32_t start_word) {
      const uint32_t region = start_word >> kActiveBits;
      uint32_t before = (region - 1) % kRegions;
      return claimed.compare_exchange_strong(before, region);
    }
  };

  const int n;  // created, the caller of run() included
  int active;   // of those, taking part
  std::vector<Worker> workers;
  Signal start;    // regions begun, and how many workers take part
  Signal parking;  // changes of `active`, and `active` itself: who does not take part waits here
  Signal release;  // barriers passed
  uint32_t epoch = 0, n_changes = 0;
  std::atomic<bool> stop{false};
  const FunctionRef<void(int)>* body = nullptr;
  std::mutex callers;  // run() from two threads: one after the other
  std::mutex error_mutex;
  std::exception_ptr error;
  std::vector<std::thread> threads;

  void work(int worker) {
    const void* outer = std::exchange(running_pool, this);
    try {
      (*body)(worker);
    } catch (...) {
      std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
    running_pool = outer;
  }

  void thread_main(int worker) {
    const auto takes_part = [worker](uint32_t word) { return worker < static_cast<int>(word & ((1u << kActiveBits) - 1)); };
    for (uint32_t seen = 0;;) {
      seen = start.wait_beyond(seen);
      if (stop.load(std::memory_order_acquire)) return;
      if (takes_part(seen)) {
        Worker& self = workers[static_cast<size_t>(worker)];
        if (!self.claim(seen)) continue;  // too late
        work(worker);
        self.done.set(seen);
        continue;
      }
      // Whether to sleep is said by the parking word alone: the region seen may be an old one, and its successor ours.
      for (uint32_t parked = parking.value.load(); !takes_part(parked); parked = parking.wait_beyond(parked))
        if (stop.load(std::memory_order_acquire)) return;
    }
  }

  void run(const FunctionRef<void(int)>& region, bool needs_all) {
    if (running_pool == this) fail(ErrorCode::internal, "a parallel region inside a parallel region of the same pool");
    std::lock_guard lock(callers);
    body = &region;
    error = nullptr;
    const uint32_t word = next_start();
    start.set(word);
    work(0);
    for (int w = 1; w < active; ++w) {
      Worker& worker = workers[static_cast<size_t>(w)];
      if (needs_all || !worker.claim(word)) worker.done.wait_for(word);
    }
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }

  uint32_t next_start() { return ++epoch << kActiveBits | static_cast<uint32_t>(active); }
  void set_parking() { parking.set(++n_changes << kActiveBits | static_cast<uint32_t>(active)); }

  void end() {
    stop.store(true, std::memory_order_release);
    start.set(next_start());
    set_parking();
    for (std::thread& t : threads) t.join();
  }
};

ThreadPool::ThreadPool(int n_threads)
    : impl_(std::make_unique<Impl>(std::min(n_threads > 0 ? n_threads : default_thread_count(), kMaxThreads))) {
  try {
    for (int w = 1; w < impl_->n; ++w) impl_->threads.emplace_back([impl = impl_.get(), w] { impl->thread_main(w); });
  } catch (const std::exception& e) {
    impl_->end();
    fail(ErrorCode::no_memory, "cannot start {} threads: {}; ask for fewer with -t", impl_->n, e.what());
  }
}

ThreadPool::~ThreadPool() { impl_->end(); }

int ThreadPool::size() const { return impl_->active; }

void ThreadPool::use(int n) {
  std::lock_guard callers(impl_->callers);
  n = std::clamp(n, 1, impl_->n);
  if (n == impl_->active) return;
  impl_->active = n;
  for (Impl::Worker& w : impl_->workers) {  // no region is running: nobody waits on these
    w.claimed.store(impl_->epoch % Impl::kRegions);
    w.n_barriers = 0;
    w.arrived.value.store(0);
  }
  impl_->release.value.store(0);
  impl_->set_parking();
}

void ThreadPool::run(FunctionRef<void(int)> body) { impl_->run(body, true); }

void ThreadPool::run_available(FunctionRef<void(int)> body) { impl_->run(body, false); }

void ThreadPool::barrier(int worker) {
  Impl::Worker& self = impl_->workers[static_cast<size_t>(worker)];
  const uint32_t count = ++self.n_barriers;
  if (worker != 0) {
    self.arrived.set(count);
    impl_->release.wait_for(count);
    return;
  }
  for (int w = 1; w < impl_->active; ++w) impl_->workers[static_cast<size_t>(w)].arrived.wait_for(count);
  impl_->release.set(count);
}

void ThreadPool::parallel_for(int64_t n, int64_t chunk, FunctionRef<void(int64_t, int64_t, int)> body) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};  // the others stop at their next chunk
  run_available([&](int worker) {
    for (;;) {
      const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= n || failed.load(std::memory_order_relaxed)) return;
      try {
        body(begin, std::min(n, begin + chunk), worker);
      } catch (...) {
        failed.store(true, std::memory_order_relaxed);
        throw;
      }
    }
  });
}

int default_thread_count() { return usable_physical_cores(); }

}  // namespace phial
