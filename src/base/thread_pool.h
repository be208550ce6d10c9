// The worker threads of a process: parallel regions with a barrier, for kernels as for converting and quantizing.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace phial {

/// A non-owning reference to a callable; valid while the callable lives.
template <typename Signature>
class FunctionRef;
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(F&& f)  // NOLINT(google-explicit-constructor): converts like a function pointer
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* o, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(o))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ThreadPool {
 public:
  /// n_threads workers in all, the caller of run() being worker 0. 0 = default_thread_count().
  explicit ThreadPool(int n_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Workers that take part in a region.
  int size() const;
  /// Regions from now on run on the first n workers only; at least 1, at most those created. Not inside run().
  void use(int n);
  /// Runs body(worker) once on every worker and returns when all are done. The first exception is rethrown here.
  void run(FunctionRef<void(int worker)> body);
  /// Runs body(worker) on the caller and on each worker that comes before the caller has finished it: for bodies that take work
  /// until there is none. A processor shared with other programs then does not hold up the region.
  void run_available(FunctionRef<void(int worker)> body);
  /// Inside run(): waits until every worker has come here. Not after a worker has thrown: bodies with barriers are noexcept.
  void barrier(int worker);
  /// Splits [0, n) into chunks that idle workers take; body(begin, end, worker).
  void parallel_for(int64_t n, int64_t chunk, FunctionRef<void(int64_t begin, int64_t end, int worker)> body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Physical cores this process may use: affinity mask, cgroup quota and SMT taken into account.
int default_thread_count();

}  // namespace phial
