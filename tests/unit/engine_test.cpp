// Parts of the engine that need no model: pages, the rope table, metadata overrides, the dry run, memory of the machine.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "base/system_memory.h"
#include "base/thread_pool.h"
#include "engine/page_pool.h"
#include "formats/metadata_override.h"
#include "nn/kv_cache.h"
#include "nn/rope.h"
#include "tensor/plan_stream.h"
#include "tensor/registry.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

TEST_CASE("pages are handed out once and come back") {
  PagePool pool(10);
  std::vector<int32_t> a, b;
  CHECK(pool.grow(a, 4));
  CHECK(pool.grow(b, 6));
  CHECK(pool.n_free() == 0);
  std::set<int32_t> all(a.begin(), a.end());
  all.insert(b.begin(), b.end());
  CHECK(all.size() == 10);
  CHECK(*all.begin() == 0);
  CHECK(*all.rbegin() == 9);
  CHECK_FALSE(pool.grow(a, 5));
  CHECK(a.size() == 4);  // nothing half taken
  CHECK(pool.grow(a, 3));
  CHECK(a.size() == 4);  // growing never gives back
  pool.shrink(b, 2);
  CHECK(b.size() == 2);
  CHECK(pool.n_free() == 4);
  CHECK(pool.grow(a, 8));
  pool.shrink(a, 0);
  pool.shrink(b, 0);
  CHECK(pool.n_free() == 10);
}

TEST_CASE("rope frequencies: plain, divided, linear, yarn") {
  RopeConfig c;
  c.n_rot = 8;
  c.theta = 10000;
  auto row = [&](int64_t position, int32_t set = 0) {
    const RopeTable table(c, 16);
    std::vector<float> out(8);
    table.fill(out.data(), position, set);
    return out;
  };
  const auto at0 = row(0);
  for (int i = 0; i < 4; ++i) CHECK(at0[i] == 1.0f);
  for (int i = 4; i < 8; ++i) CHECK(at0[i] == 0.0f);
  const auto at3 = row(3);
  for (int i = 0; i < 4; ++i) {
    const double angle = 3 * std::pow(10000.0, -2.0 * i / 8);
    CHECK(at3[i] == doctest::Approx(std::cos(angle)).epsilon(1e-6));
    CHECK(at3[4 + i] == doctest::Approx(std::sin(angle)).epsilon(1e-6));
  }
  c.scaling = "linear";
  c.factor = 2;
  CHECK(row(6) == at3);
  c.scaling = "longrope";
  c.factor = 1;
  c.short_factors = {1, 1, 1, 1};
  c.long_factors = {2, 2, 2, 2};
  CHECK(row(3, 0) == at3);
  CHECK(row(6, 1) == at3);
  c.attention_factor = 1.5;
  CHECK(row(6, 1)[0] == at3[0] * 1.5f);
  const RopeTable table(c, 16);
  CHECK(table.set_for(15) == 0);
  CHECK(table.set_for(16) == 0);
  CHECK(table.set_for(17) == 1);
  c.long_factors.clear();
  CHECK(RopeTable(c, 16).set_for(17) == 0);

  // YaRN by its paper's formula, written out once more in double: the fastest pair stays, the slowest is divided.
  c = RopeConfig();
  c.n_rot = 64;
  c.scaling = "yarn";
  c.factor = 4;
  const RopeTable yarn(c, 2048);
  std::vector<float> out(64);
  yarn.fill(out.data(), 1, 0);
  CHECK(out[0] == doctest::Approx(std::cos(1.0)).epsilon(1e-6));
  const double slowest = std::pow(10000.0, -62.0 / 64) / 4;
  CHECK(out[32 + 31] == doctest::Approx(std::sin(slowest)).epsilon(1e-6));
  const double fast = 64 * std::log(2048 / (32 * 2 * M_PI)) / (2 * std::log(10000.0));
  const double slow = 64 * std::log(2048 / (1 * 2 * M_PI)) / (2 * std::log(10000.0));
  for (int i = 0; i < 32; ++i) {
    const double ramp = std::clamp((i - std::floor(fast)) / (std::ceil(slow) - std::floor(fast)), 0.0, 1.0);
    const double f = std::pow(10000.0, -2.0 * i / 64);
    CHECK(out[32 + i] == doctest::Approx(std::sin(f * (1 - ramp) + f / 4 * ramp)).epsilon(1e-5));
  }
}

TEST_CASE("the cache's types") {
  CHECK(kv_dtype("f16", "-ctk", 16) == DType::f16);
  CHECK(kv_dtype("Q8_0", "-ctk", 64) == DType::q8_0);
  CHECK(kv_dtype("i16", "-ctk", 50) == DType::i16);
  CHECK(code_of([] { kv_dtype("i16", "-ctk", 17); }) == "ARGUMENT");
  CHECK(code_of([] { kv_dtype("i16", "-ctk", 514); }) == "ARGUMENT");
  CHECK(code_of([] { kv_dtype("q8_0", "-ctk", 48); }) == "ARGUMENT");
  CHECK(code_of([] { kv_dtype("q4_k", "-ctk", 64); }) == "ARGUMENT");
  CHECK(code_of([] { kv_dtype("", "-ctk", 64); }) == "ARGUMENT");
  CHECK(kv_bytes_per_page({DType::f16, DType::q8_0, 2, 32}, 3) == 3 * 64 * 2 * (32 * 2 + 32 + 2));
  CHECK(pages_for(0) == 0);
  CHECK(pages_for(64) == 1);
  CHECK(pages_for(65) == 2);
}

TEST_CASE("metadata from the command line takes the type of the key") {
  Metadata m;
  m.set("a.u32", uint32_t{1});
  m.set("a.f32", 1.0f);
  m.set("a.u8", uint8_t{1});
  override_metadata(m,
                    {"a.u32=int:7", "a.f32=float:0.5", "a.u8=int:300", "a.new=int:-3", "a.flag=bool:true", "a.text=str:x=y:z"});
  CHECK(std::get<uint32_t>(*m.find("a.u32")) == 7);
  CHECK(std::get<float>(*m.find("a.f32")) == 0.5f);
  CHECK(std::get<uint32_t>(*m.find("a.u8")) == 300);  // does not fit the old type
  CHECK(std::get<int64_t>(*m.find("a.new")) == -3);
  CHECK(std::get<bool>(*m.find("a.flag")));
  CHECK(std::get<std::string>(*m.find("a.text")) == "x=y:z");
  for (const char* bad : {"", "=", "a", "a=int", "a=int:", "a=int:1.5", "a=int:99999999999999999999", "a=float:x", "a=bool:yes",
                          "a=blob:1", "=int:1"}) {
    CAPTURE(bad);
    CHECK(code_of([&] { override_metadata(m, {bad}); }) == "ARGUMENT");
  }
}

TEST_CASE("a dry run counts weights, workspace and products without touching memory") {
  auto device = open_device("reference", {});
  PlanDevice plan(*device);
  WeightSource source;
  source.dtype = DType::q8_0;
  source.n_rows = 1 << 20;
  source.n_cols = 1 << 12;
  source.read_rows = [](int64_t, int64_t, std::span<std::byte>) { FAIL("a dry run reads nothing"); };
  const Weight w = plan.load(source, WeightUse::matrix);
  CHECK(w.storage->n_bytes() == device->weight_bytes(source.dtype, source.n_rows, source.n_cols, WeightUse::matrix));
  Workspace workspace(nullptr, 1ull << 40);
  PlanStream stream(workspace);
  const Tensor x = workspace.tensor(8, source.n_cols), y = workspace.tensor(8, source.n_rows);
  const uint64_t before = workspace.mark();
  stream.linear(y, x, w, {});
  CHECK(stream.n_flops() == 2ull * 8 * source.n_rows * source.n_cols);
  CHECK(workspace.mark() == before);
  CHECK(workspace.peak() > before);
}

TEST_CASE("the plan of the CPU takes what its operations take") {
  constexpr int kThreads = 2;
  DeviceOptions options;
  options.pool = std::make_shared<ThreadPool>(kThreads);
  auto device = open_device("cpu", options);
  constexpr int64_t kRows = 96, kCols = 256, kHeads = 4, kHeadDim = 32;
  std::vector<float> values(kRows * kCols, 0.25f);
  WeightSource source;
  source.name = "w";
  source.n_rows = kRows;
  source.n_cols = kCols;
  source.read_rows = [&](int64_t begin, int64_t n, std::span<std::byte> out) {
    std::memcpy(out.data(), values.data() + begin * kCols, static_cast<size_t>(n * kCols) * sizeof(float));
  };
  PlanDevice plan_device(*device);
  const Weight w = device->load(source, WeightUse::matrix), planned = plan_device.load(source, WeightUse::matrix);
  CHECK(planned.storage->n_bytes() == w.storage->n_bytes());

  const AttentionParams params{kHeads, kHeads, kHeadDim, 1.0f, 0, 0.0f};
  // One token at a long context shares its splits among the threads; many tokens do not.
  for (const auto& [n_tokens, n_context] : std::vector<std::pair<int32_t, int32_t>>{{1, 3000}, {1, 64}, {7, 64}, {200, 4096}}) {
    CAPTURE(n_tokens);
    CAPTURE(n_context);
    const auto n_pages = static_cast<int32_t>(pages_for(n_context));
    const KvFormat format{DType::f16, DType::f16, kHeads, kHeadDim};
    const KvCache cache(*device, format, 1, n_pages);
    std::vector<int32_t> positions(static_cast<size_t>(n_tokens)), zeros(positions.size(), 0),
        pages(static_cast<size_t>(n_pages));
    std::iota(positions.begin(), positions.end(), n_context - n_tokens);
    std::iota(pages.begin(), pages.end(), 0);
    StepInputs step;
    step.n_tokens = n_tokens;
    step.n_sequences = 1;
    step.max_pages = n_pages;
    step.positions = positions.data();
    step.sequence_of = step.rope_set = zeros.data();
    step.page_table = pages.data();
    const auto run = [&](Workspace& workspace, Stream& stream, const Weight& weight) {
      const Tensor q = workspace.tensor(n_tokens, kHeads * kHeadDim), out = workspace.tensor(n_tokens, kHeads * kHeadDim);
      stream.attention(out, q, cache.layers()[0], params, step);
      const Tensor x = workspace.tensor(n_tokens, kCols), y = workspace.tensor(n_tokens, kRows);
      stream.linear(y, x, weight, {});
      stream.linear_add(y, x, weight, {});
      return workspace.peak();
    };
    const std::shared_ptr<std::byte> memory = device->allocate(64 << 20);
    Workspace real(memory.get(), 64 << 20), counted(nullptr, 1ull << 40);
    const uint64_t taken = run(real, *device->open_stream(real), w);
    const auto stream = device->open_plan_stream(counted);
    const uint64_t n_planned = run(counted, *stream, planned);
    CHECK(n_planned >= taken);
    if (n_tokens < 200) CHECK(n_planned == taken);  // of 200 a part at a time may share splits, which takes more
    CHECK(stream->own_bytes() > 0);
  }
}

TEST_CASE("a pool runs on as many workers as it is told") {
  ThreadPool pool(4);
  for (int n : {1, 3, 4, 2, 9, 0, 4}) {
    pool.use(n);
    CHECK(pool.size() == std::clamp(n, 1, 4));
    std::vector<int> hits(4, 0);
    pool.run([&](int worker) { ++hits[static_cast<size_t>(worker)]; });
    for (int w = 0; w < 4; ++w) CHECK(hits[static_cast<size_t>(w)] == (w < pool.size() ? 1 : 0));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(1000, 7, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    CHECK(sum == 499500);
  }
}

TEST_CASE("the machine's free memory is known") {
  CHECK(available_memory() > (1u << 20));
  CHECK(available_memory() < (1ull << 60));
}
