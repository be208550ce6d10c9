// Speed of the matrix products on Phi-3.5-mini's shapes, as a share of this machine's measured limits.
// linear_bench [threads] [isa] [format ...]: prefill of 512 tokens and decode of one, best of several short runs, each run
// beside a measurement of the limit, since neighbours disturb both.
#include <fmt/core.h>
#include <time.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "phial/limits.h"
#include "quant/codec.h"
#include "tensor/registry.h"
#include "tensor/stream.h"

using namespace phial;

namespace {

struct Shape {
  const char* name;
  int64_t n_rows, n_cols;
};
constexpr Shape kShapes[] = {
    {"qkv", 9216, 3072}, {"output", 3072, 3072}, {"gate_up", 16384, 3072}, {"down", 3072, 8192}, {"head", 32064, 3072}};

/// Seconds on the wall, or, with one thread, of processor time: what neighbours take of the core does not count.
double now(int n_threads) {
  timespec t;
  clock_gettime(n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

WeightSource random_source(DType dtype, const Shape& shape) {
  WeightSource s{shape.name, dtype, shape.n_rows, shape.n_cols, {}, {}};
  // Finite and not subnormal, which some processors multiply a hundred times slower: f16 halves below 1, bf16 and f32 in 0.5..1.
  const bool is_f32 = dtype == DType::f32, is_bf16 = dtype == DType::bf16;
  const uint32_t keep = is_f32 ? 0x807FFFFFu : is_bf16 ? 0x807F807Fu : 0x3BFF3BFFu;
  const uint32_t set = is_f32 ? 0x3F000000u : is_bf16 ? 0x3F003F00u : 0;
  s.read_rows = [keep, set](int64_t begin, int64_t, std::span<std::byte> out) {
    std::minstd_rand rng(static_cast<uint32_t>(begin) + 1);
    for (size_t i = 0; i + 4 <= out.size(); i += 4) {
      const uint32_t v = ((rng() ^ rng() << 12) & keep) | set;
      std::memcpy(&out[i], &v, 4);
    }
  };
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const int n_threads = argc > 1 ? std::stoi(argv[1]) : default_thread_count();
  DeviceOptions options;
  options.pool = std::make_shared<ThreadPool>(n_threads);
  options.isa = argc > 2 && std::strcmp(argv[2], "best") != 0 ? argv[2] : "";
  const auto device = open_device("cpu", options);
  std::vector<DType> formats;
  for (int i = 3; i < argc; ++i)
    if (const auto d = dtype_from_text(argv[i])) formats.push_back(*d);
  if (formats.empty())
    formats = {DType::q4_k, DType::q6_k, DType::q8_0, DType::q4_0, DType::q5_k,
               DType::q3_k, DType::q2_k, DType::f16,  DType::bf16};

  Limits limits = measure_limits(n_threads, 2.0);
  fmt::print("{}\n{}; int8 {:.0f} GOP/s, bf16 {:.0f} GFLOP/s, f32 {:.0f} GFLOP/s, read {:.1f} GB/s\n", limits.machine,
             device->description(), limits.int8_ops() / 1e9, limits.best_bf16() / 1e9, limits.f32_flops / 1e9,
             limits.best_read() / 1e9);
  fmt::print("{:6} {:8} {:>10} {:>8} {:>8} {:>8} {:>10}\n", "format", "shape", "prefill", "of peak", "decode", "of DRAM",
             "8 tokens");

  std::vector<std::byte> room(1 << 20);
  Workspace workspace(room.data(), room.size());
  const auto stream = device->open_stream(workspace);
  for (DType dtype : formats) {
    const double peak = format_info(dtype).is_quantized() ? limits.int8_ops()
                        : dtype == DType::bf16            ? limits.best_bf16()
                        : dtype == DType::f16             ? limits.best_f16()
                                                          : limits.f32_flops;
    for (const Shape& shape : kShapes) {
      constexpr int64_t n_tokens = 512;
      const Weight w = device->load(random_source(dtype, shape), WeightUse::matrix);
      const auto x = device->allocate(n_tokens * 8192 * 4), out = device->allocate(n_tokens * 32064 * 4);
      auto* values = reinterpret_cast<float*>(x.get());
      std::minstd_rand rng(1);
      std::normal_distribution<float> normal;
      for (int64_t i = 0; i < n_tokens * shape.n_cols; ++i) values[i] = normal(rng);
      const auto best = [&](int64_t n, int runs) {
        double seconds = 1e9;
        for (int i = 0; i < runs; ++i) {
          const double begin = now(n_threads);
          stream->linear({reinterpret_cast<float*>(out.get()), n, shape.n_rows, shape.n_rows},
                         {values, n, shape.n_cols, shape.n_cols}, w, {});
          seconds = std::min(seconds, now(n_threads) - begin);
        }
        return seconds;
      };
      const double bytes = static_cast<double>(device->weight_bytes(dtype, shape.n_rows, shape.n_cols, WeightUse::matrix));
      const double ops = 2.0 * static_cast<double>(shape.n_rows * shape.n_cols);
      const double prefill = ops * n_tokens / best(n_tokens, 6), one = best(1, 40), decode = bytes / one;
      fmt::print("{:6} {:8} {:7.0f} G/s {:6.1f} % {:4.1f} GB/s {:6.1f} % {:8.1f} x\n", format_info(dtype).text, shape.name,
                 prefill / 1e9, peak > 0 ? 100 * prefill / peak : 0, decode / 1e9, 100 * decode / limits.best_read(),
                 8 * one / best(8, 20));
    }
  }
  return 0;
}
