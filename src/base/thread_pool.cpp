// The worker threads: epoch counter to start, arrival counter to end, spinning briefly before sleeping.
#include "base/thread_pool.h"

#include "base/cpu_info.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace phial {

struct ThreadPool::Impl {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  uint64_t epoch = 0;
  int running = 0;
  bool stop = false;
  const FunctionRef<void(int)>* body = nullptr;
  std::exception_ptr error;
  std::atomic<uint64_t> arrived{0};
  std::atomic<uint64_t> phase{0};
  int n = 1;       // created, the caller of run() included
  int active = 1;  // of those, taking part

  void work(int worker) {
    try {
      (*body)(worker);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
};

ThreadPool::ThreadPool(int n_threads) : impl_(std::make_unique<Impl>()) {
  impl_->n = n_threads > 0 ? n_threads : default_thread_count();
  impl_->active = impl_->n;
  for (int w = 1; w < impl_->n; ++w) {
    impl_->threads.emplace_back([impl = impl_.get(), w] {
      uint64_t seen = 0;
      for (;;) {
        {
          std::unique_lock lock(impl->mutex);
          impl->wake.wait(lock, [&] { return impl->stop || impl->epoch != seen; });
          if (impl->stop) return;
          seen = impl->epoch;
          if (w >= impl->active) continue;
        }
        impl->work(w);
        std::lock_guard lock(impl->mutex);
        if (--impl->running == 0) impl->done.notify_one();
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_all();
  for (auto& t : impl_->threads) t.join();
}

int ThreadPool::size() const { return impl_->active; }

void ThreadPool::use(int n) {
  std::lock_guard lock(impl_->mutex);
  impl_->active = std::clamp(n, 1, impl_->n);
}

void ThreadPool::run(FunctionRef<void(int)> body) {
  impl_->body = &body;
  impl_->error = nullptr;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->running = impl_->active - 1;
    ++impl_->epoch;
  }
  impl_->wake.notify_all();
  impl_->work(0);
  std::unique_lock lock(impl_->mutex);
  impl_->done.wait(lock, [&] { return impl_->running == 0; });
  if (impl_->error) std::rethrow_exception(impl_->error);
}

void ThreadPool::barrier(int) {
  const uint64_t phase = impl_->phase.load(std::memory_order_acquire);
  if (impl_->arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint64_t>(impl_->active)) {
    impl_->arrived.store(0, std::memory_order_relaxed);
    impl_->phase.store(phase + 1, std::memory_order_release);
    return;
  }
  while (impl_->phase.load(std::memory_order_acquire) == phase) std::this_thread::yield();
}

void ThreadPool::parallel_for(int64_t n, int64_t chunk, FunctionRef<void(int64_t, int64_t, int)> body) {
  std::atomic<int64_t> next{0};
  run([&](int worker) {
    for (;;) {
      const int64_t begin = next.fetch_add(chunk);
      if (begin >= n) return;
      body(begin, std::min(n, begin + chunk), worker);
    }
  });
}

int default_thread_count() { return usable_physical_cores(); }

}  // namespace phial
