// Speed of the operations beside the matrix products, at Phi-3.5-mini's shapes: ops_bench [isa] [threads].
// Prefill prints GFLOP/s of attention (2 flops per fma, causal pairs only) and its time over 32 layers; decode prints the
// GB/s at which the cache is read. Best of several runs.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "ops/ops.h"
#include "tensor/kv_layout.h"
#include "tensor/registry.h"

using namespace phial;

namespace {

constexpr int32_t kHiddenSize = 3072, kIntermediateSize = 8192, kLayers = 32;

int n_threads = 1;

/// Seconds on the wall, or, with one thread, of processor time: what neighbours take of the core does not count.
double now() {
  timespec t;
  clock_gettime(n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double best_seconds(const std::function<void()>& body) {
  double best = 1e9, total = 0;
  for (int i = 0; i < 50 && (i < 3 || total < 1.5); ++i) {
    const double begin = now();
    body();
    const double s = now() - begin;
    best = std::min(best, s);
    total += s;
  }
  return best;
}

struct Data {
  std::vector<float> values;
  Tensor view;
  Data(int64_t n_rows, int64_t n_cols) : values(n_rows * n_cols), view{values.data(), n_rows, n_cols, n_cols} {
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    for (float& x : values) x = normal(rng);
  }
};

struct Shape {
  const char* name;
  int32_t n_heads, n_kv_heads, head_dim;
};

void attention_bench(Device& device, Stream& stream, const Shape& shape, DType dtype, int32_t context, int32_t n_tokens) {
  const int32_t n_pages = (context + kPageTokens - 1) / kPageTokens;
  const uint64_t bytes = n_pages * kv_page_bytes(dtype, shape.n_kv_heads, shape.head_dim);
  // As many layers as spill the caches, as in a model.
  const int n_layers = n_tokens == 1 ? 8 : 2;
  std::vector<std::shared_ptr<std::byte>> memory;
  std::vector<KvLayer> layers;
  for (int i = 0; i < n_layers; ++i) {
    memory.push_back(device.allocate(2 * bytes));
    layers.push_back({memory.back().get(), memory.back().get() + bytes, dtype, dtype, n_pages, shape.n_kv_heads, shape.head_dim});
  }
  std::vector<int32_t> positions(context), sequence_of(context), table(n_pages);
  for (int32_t i = 0; i < context; ++i) positions[i] = i;
  for (int32_t i = 0; i < n_pages; ++i) table[i] = i;
  StepInputs in;
  in.n_sequences = 1;
  in.max_pages = n_pages;
  in.page_table = table.data();
  in.sequence_of = sequence_of.data();
  in.positions = positions.data();
  in.n_tokens = context;
  Data k(context, shape.n_kv_heads * shape.head_dim), v(context, shape.n_kv_heads * shape.head_dim);
  double store = 0;
  for (const KvLayer& layer : layers) store = best_seconds([&] { kv_store(stream, layer, k.view, v.view, in); });

  Data q(n_tokens, shape.n_heads * shape.head_dim), out(n_tokens, shape.n_heads * shape.head_dim);
  in.n_tokens = n_tokens;
  in.positions = positions.data() + context - n_tokens;
  const AttentionParams params{
      shape.n_heads, shape.n_kv_heads, shape.head_dim, 1 / std::sqrt(static_cast<float>(shape.head_dim)), 0, 0};
  const double s = best_seconds([&] {
                     for (const KvLayer& layer : layers) attention(stream, out.view, q.view, layer, params, in);
                   }) /
                   n_layers;
  const double pairs = static_cast<double>(n_tokens) * (context - n_tokens) + n_tokens * (n_tokens + 1.0) / 2;
  const double flops = 4 * pairs * shape.n_heads * shape.head_dim;
  fmt::print(
      "{:<12} {:<4} {:>4} tokens at {:>5}: {:>9.3f} ms/layer {:>8.2f} ms/{} layers  {:>7.1f} GFLOP/s  cache {:>6.1f} GB/s  "
      "(store all {:.2f} ms)\n",
      shape.name, format_info(dtype).text, n_tokens, context, s * 1e3, s * 1e3 * kLayers, kLayers, flops / s * 1e-9,
      2 * bytes / s * 1e-9, store * 1e3);
}

void rows_bench(Device& device, Stream& stream, int32_t n_tokens) {
  Data x(n_tokens, kHiddenSize), gate_up(n_tokens, 2 * kIntermediateSize), cos_sin(n_tokens, 96), h(n_tokens, kIntermediateSize);
  std::vector<float> ones(kHiddenSize, 1.0f);
  WeightSource source{"norm", DType::f32, 1, kHiddenSize, nullptr, nullptr};
  source.read_rows = [&](int64_t, int64_t, std::span<std::byte> to) { std::memcpy(to.data(), ones.data(), to.size()); };
  const Weight norm = device.load(source, WeightUse::vector);
  auto line = [&](const char* name, double values, const std::function<void()>& body) {
    const double s = best_seconds(body);
    fmt::print("{:<12} {:>4} tokens: {:>8.3f} ms  {:>6.2f} G values/s\n", name, n_tokens, s * 1e3, values / s * 1e-9);
  };
  line("rms_norm", n_tokens * double{kHiddenSize},
       [&] { rms_norm(stream, h.view.columns(0, kHiddenSize), x.view, norm, 1e-5f); });
  line("swiglu", n_tokens * double{kIntermediateSize}, [&] {
    swiglu(stream, h.view, gate_up.view.columns(0, kIntermediateSize),
           gate_up.view.columns(kIntermediateSize, kIntermediateSize));
  });
  line("rope", n_tokens * double{kHiddenSize}, [&] { rope(stream, x.view, 96, RopeKind::neox, cos_sin.view); });
  line("add", n_tokens * double{kHiddenSize}, [&] { add(stream, x.view, x.view, h.view.columns(0, kHiddenSize)); });
}

}  // namespace

int main(int argc, char** argv) {
  DeviceOptions options;
  options.isa = argc > 1 ? argv[1] : "";
  options.pool = std::make_shared<ThreadPool>(argc > 2 ? std::atoi(argv[2]) : 0);
  n_threads = options.pool->size();
  const auto device = open_device("cpu", options);
  constexpr uint64_t kWorkspace = 256u << 20;
  const auto memory = device->allocate(kWorkspace);
  Workspace workspace(memory.get(), kWorkspace);
  const auto stream = device->open_stream(workspace);
  fmt::print("{}\n", device->description());

  const Shape phi35{"Phi-3.5-mini", 32, 32, 96}, phi4{"Phi-4-mini", 24, 8, 128};
  for (const DType dtype : {DType::f16, DType::i16})
    for (const int32_t context : {512, 2048, 4096}) attention_bench(*device, *stream, phi35, dtype, context, 512);
  attention_bench(*device, *stream, phi35, DType::q8_0, 512, 512);
  attention_bench(*device, *stream, phi4, DType::f16, 512, 512);
  for (const int32_t context : {128, 1024, 4096}) attention_bench(*device, *stream, phi35, DType::f16, context, 1);
  attention_bench(*device, *stream, phi35, DType::i16, 4096, 1);
  attention_bench(*device, *stream, phi35, DType::q8_0, 4096, 1);
  attention_bench(*device, *stream, phi4, DType::f16, 4096, 1);
  attention_bench(*device, *stream, phi4, DType::i16, 4096, 1);
  for (const int32_t n : {1, 512}) rows_bench(*device, *stream, n);
}
