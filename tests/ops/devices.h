// Devices under test, weights made of values, and data with guard bytes for operation tests.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "backends/cpu/cpu_device.h"
#include "backends/cpu/kernel_table.h"
#include "base/cpu_info.h"
#include "ops/amx_trap.h"
#include "phial/error.h"
#include "quant/codec.h"
#include "tensor/registry.h"

namespace phial::test {

// The kernels of amx where there are no tiles: their instructions are carried out by amx_trap.
inline constexpr const char* kTrappedAmx = "amx, trapped";
// Likewise, of F16 weights alone: the others' code asks for AVX-512 FP16 beside the tiles.
inline constexpr const char* kTrappedF16 = "amx_fp16, trapped";

/// Instruction sets that run here, and the code of amx where its instructions do not.
inline bool traps_tiles() { return cpu_info().avx512_vnni && cpu::runnable_isas()[0].rfind("amx", 0) != 0; }
inline std::vector<std::string> isas_here() {
  std::vector<std::string> names = cpu::runnable_isas();
  if (traps_tiles()) names.emplace_back(kTrappedAmx);
  return names;
}

inline std::unique_ptr<Device> open_test_device(const std::string& device, const DeviceOptions& options) {
#if defined(__x86_64__)
  if (options.isa == kTrappedAmx || options.isa == kTrappedF16) {
    trap_amx();
    return std::make_unique<cpu::CpuDevice>(options, options.isa == kTrappedAmx ? cpu::amx_table() : cpu::amx_fp16_table());
  }
#endif
  return open_device(device, options);
}

/// A device with a stream and a workspace.
struct Bench {
  std::string label;
  std::unique_ptr<Device> device;
  std::shared_ptr<std::byte> memory;
  std::unique_ptr<Workspace> workspace;
  std::unique_ptr<Stream> stream;

  Bench(const std::string& name, const std::string& isa, int n_threads)
      : label(name + " " + isa + " " + std::to_string(n_threads)) {
    DeviceOptions options;
    options.pool = std::make_shared<ThreadPool>(n_threads);
    options.isa = isa;
    options.huge_pages = false;
    device = open_test_device(name, options);
    constexpr uint64_t kBytes = 64u << 20;
    memory = device->allocate(kBytes);
    workspace = std::make_unique<Workspace>(memory.get(), kBytes);
    stream = device->open_stream(*workspace);
  }

  Weight weight(const std::vector<std::byte>& bytes, DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) {
    WeightSource source{"test.weight", dtype, n_rows, n_cols, nullptr, nullptr};
    source.read_rows = [&](int64_t begin, int64_t n, std::span<std::byte> out) {
      const uint64_t row = row_bytes(dtype, n_cols);
      std::memcpy(out.data(), bytes.data() + begin * row, n * row);
    };
    return device->load(source, use);
  }
  Weight vector(const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * 4);
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return weight(bytes, DType::f32, 1, static_cast<int64_t>(values.size()), WeightUse::vector);
  }
};

inline Bench& reference() {
  static Bench bench("reference", "", 1);
  return bench;
}

/// The CPU device with every instruction set this machine runs that has such operations of its own, with 1 and 3 threads.
inline std::vector<Bench*> cpu_benches() {
  static std::vector<std::unique_ptr<Bench>> all = [] {
    std::vector<std::unique_ptr<Bench>> benches;
    std::set<decltype(cpu::OpKernels::attention_split)> seen;
    const auto attention_of = [](const std::string& isa) {
#if defined(__x86_64__)
      if (isa == kTrappedAmx) return cpu::amx_table().ops.attention_split;
#endif
      return cpu::kernel_table(isa).ops.attention_split;
    };
    for (const std::string& isa : isas_here())
      if (seen.insert(attention_of(isa)).second)
        for (int n_threads : {1, 3}) benches.push_back(std::make_unique<Bench>("cpu", isa, n_threads));
    return benches;
  }();
  if (traps_tiles()) trap_amx();  // anew for each test case
  std::vector<Bench*> list;
  for (auto& b : all) list.push_back(b.get());
  return list;
}

/// A matrix view inside a larger block of memory that is filled with a pattern: rows are strided, and what lies between
/// and after them must not change.
class Guarded {
 public:
  Guarded(int64_t n_rows, int64_t n_cols, int64_t stride, const std::vector<float>& values = {})
      : n_rows_(n_rows), n_cols_(n_cols), stride_(stride), data_(kGuard + n_rows * stride + kGuard, kPattern) {
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) view().row(i / n_cols)[i % n_cols] = values[i];
  }
  Tensor view() { return {data_.data() + kGuard, n_rows_, n_cols_, stride_}; }
  std::vector<float> values() {
    std::vector<float> v;
    for (int64_t i = 0; i < n_rows_; ++i) v.insert(v.end(), view().row(i), view().row(i) + n_cols_);
    return v;
  }
  bool guards_hold() {
    for (int64_t i = 0; i < static_cast<int64_t>(data_.size()); ++i) {
      const int64_t at = i - kGuard, column = at % stride_;
      const bool inside = at >= 0 && at < n_rows_ * stride_ && column < n_cols_;
      if (!inside && std::memcmp(&data_[i], &kPattern, 4) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr float kPattern = -12345.75f;
  static constexpr int64_t kGuard = 64;
  int64_t n_rows_, n_cols_, stride_;
  std::vector<float> data_;
};

inline std::vector<float> normal_values(int64_t n, uint32_t seed, float scale = 1) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> v(n);
  for (float& x : v) x = normal(rng);
  return v;
}

inline bool equal_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

/// Sum of squared differences over sum of squares.
template <typename T>
double nmse(const std::vector<float>& got, const std::vector<T>& want) {
  double error = 0, power = 1e-300;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = got[i] - static_cast<double>(want[i]);
    error += d * d;
    power += static_cast<double>(want[i]) * want[i];
  }
  return error / power;
}

}  // namespace phial::test
