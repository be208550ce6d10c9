// The measured limits of this machine (phial/limits.h): short runs, the best of many, since neighbours only ever slow down.
#include "phial/limits.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>

#include "backends/cpu/kernel_table.h"
#include "backends/cpu/weight_storage.h"
#include "base/cpu_info.h"
#include "base/system_memory.h"
#include "base/thread_pool.h"

namespace phial {
namespace cpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Shortest time of body() in about `budget` seconds, at least three runs.
double best_time(double budget, const std::function<void()>& body) {
  const auto start = Clock::now();
  double best = 1e30;
  for (int i = 0; i < 3 || seconds_since(start) < budget; ++i) {
    const auto begin = Clock::now();
    body();
    best = std::min(best, seconds_since(begin));
  }
  return best;
}

/// Operations per second of all threads running kernel(n) together.
template <typename R>
double peak(ThreadPool& pool, double budget, R (*kernel)(int64_t), int64_t ops_per_n) {
  std::atomic<R> sink{};
  constexpr int64_t kN = 20000;  // about 0.1 ms: short enough to fall between interruptions
  const double seconds = best_time(budget, [&] {
    pool.run([&](int worker) noexcept {
      pool.barrier(worker);
      sink.store(kernel(kN), std::memory_order_relaxed);
    });
  });
  return static_cast<double>(pool.size() * kN * ops_per_n) / seconds;
}

/// Bytes that are read in turn, of all threads: twice the last cache, as a part would lie there, while an eighth of the memory
/// that is free has room for them.
int64_t read_bytes() {
  constexpr int64_t kLeast = 256 << 20;
  const int64_t twice_cache = 2 * std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::max(kLeast, std::min(twice_cache, static_cast<int64_t>(available_memory() / 8)));
}

double read_rate(ThreadPool& pool, double budget, const LimitKernels& kernels, bool huge_pages) {
  const int64_t n_bytes = read_bytes();
  const auto memory = allocate_pages(static_cast<uint64_t>(n_bytes), huge_pages);
  if (!huge_pages) madvise(memory.get(), static_cast<size_t>(n_bytes), MADV_NOHUGEPAGE);
  const int64_t share = n_bytes / pool.size() / 256 * 256;
  const auto* bytes = reinterpret_cast<const uint8_t*>(memory.get());
  std::atomic<int32_t> sink{0};
  pool.run([&](int worker) { std::memset(memory.get() + worker * share, 1, static_cast<size_t>(share)); });
  // Pieces of 16 MiB, so that one undisturbed moment counts; each is long out of the caches when it comes again.
  const int64_t n_pieces = 16 * n_bytes / (256 << 20), piece = share / n_pieces / 256 * 256;
  int64_t next = 0;
  const double seconds = best_time(budget, [&] {
    pool.run([&](int worker) noexcept {
      pool.barrier(worker);
      sink.store(kernels.read(bytes + worker * share + next * piece, piece), std::memory_order_relaxed);
    });
    next = (next + 1) % n_pieces;
  });
  return static_cast<double>(piece * pool.size()) / seconds;
}

}  // namespace
}  // namespace cpu

Limits measure_limits(int n_threads, double seconds) {
  using namespace cpu;
  Limits limits;
  ThreadPool pool(n_threads);
  const KernelTable& table = kernel_table("");
  const double part = seconds / (6 + 2 * pool.size());
  limits.machine = (cpu_info().model.empty() ? "unknown processor" : cpu_info().model) + ", " + table.description;
  limits.n_threads = pool.size();
  limits.int8_vnni_ops = peak(pool, 2 * part, table.limits.int8_peak, kInt8PeakOps);
  limits.f32_flops = peak(pool, 2 * part, table.limits.f32_peak, kF32PeakOps);
  if (cpu_info().avx512_bf16) limits.bf16_flops = peak(pool, part, bf16_peak, kBf16PeakOps);
  if (cpu_info().amx_int8 && cpu_info().amx_bf16 && cpu_info().tiles_granted) {
    limits.int8_amx_ops = peak(pool, part, amx_int8_peak, kAmxPeakInt8Ops);
    limits.bf16_amx_flops = peak(pool, part, amx_bf16_peak, kAmxPeakHalfOps);
    if (cpu_info().amx_fp16) limits.f16_amx_flops = peak(pool, part, amx_f16_peak, kAmxPeakHalfOps);
  }
  for (int n = 1; n <= pool.size(); ++n) {
    ThreadPool some(n);
    limits.read.push_back({n, read_rate(some, part, table.limits, false), read_rate(some, part, table.limits, true)});
  }
  constexpr int kBarriers = 200;
  limits.barrier_ns = 1e9 / kBarriers * best_time(part / 4, [&] {
                        pool.run([&](int worker) noexcept {
                          for (int i = 0; i < kBarriers; ++i) pool.barrier(worker);
                        });
                      });
  return limits;
}

}  // namespace phial
