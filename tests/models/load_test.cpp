// Loading: damaged and wrong files, options, what the model says of itself, and the memory it planned.
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/engine.h"
#include "fixture_models.h"
#include "formats/gguf.h"

using namespace phial;
using namespace phial::test;

namespace {

struct Tensor_ {
  GgufTensorPlan plan;
  std::vector<std::byte> bytes;
};

/// A copy of a GGUF file with its parts changed.
std::string changed(const TempFolder& folder, const std::string& path,
                    const std::function<void(Metadata&, std::vector<Tensor_>&)>& change) {
  const GgufFile file = GgufFile::open(path);
  Metadata metadata = file.metadata();
  std::vector<Tensor_> tensors;
  for (const TensorEntry& t : file.tensors()) {
    tensors.push_back({{t.name, t.dtype, t.shape}, std::vector<std::byte>(t.n_bytes)});
    file.read(t, 0, tensors.back().bytes);
  }
  change(metadata, tensors);
  std::vector<GgufTensorPlan> plans;
  for (const Tensor_& t : tensors) plans.push_back(t.plan);
  const std::string out = folder / "changed.gguf";
  GgufWriter writer(out, metadata, plans);
  for (const Tensor_& t : tensors) writer.write(t.bytes);
  writer.finish();
  return out;
}

Tensor_& find(std::vector<Tensor_>& tensors, const std::string& name) {
  for (Tensor_& t : tensors)
    if (t.plan.name == name) return t;
  FAIL("no tensor " << name);
  return tensors[0];
}

std::string load_code(const std::string& path) {
  return code_of([&] { Model::load(exact(path)); });
}

}  // namespace

TEST_CASE("tensors that do not fit the architecture are refused") {
  TempFolder folder;
  const std::string good = fixture("phi3-longrope");
  auto code = [&](const std::function<void(Metadata&, std::vector<Tensor_>&)>& change) {
    return load_code(changed(folder, good, change));
  };
  CHECK(code([](Metadata&, auto&) {}) == "none");
  CHECK(code([](Metadata&, auto& t) { std::erase_if(t, [](auto& x) { return x.plan.name == "blk.1.ffn_down.weight"; }); }) ==
        "TENSOR");
  CHECK(code([](Metadata&, auto& t) { find(t, "blk.0.attn_norm.weight").plan.shape = {2, 32}; }) == "TENSOR");
  CHECK(code([](Metadata&, auto& t) {
          auto& x = find(t, "blk.0.attn_qkv.weight");
          std::swap(x.plan.shape[0], x.plan.shape[1]);
        }) == "TENSOR");
  CHECK(code([](Metadata&, auto& t) { find(t, "blk.0.attn_qkv.weight").plan.dtype = DType::i32; }) == "TENSOR");
  CHECK(code([](Metadata&, auto& t) { find(t, "output_norm.weight").plan.dtype = DType::i32; }) == "TENSOR");
  CHECK(code([](Metadata& m, auto&) { m.set("phi3.vocab_size", uint32_t{200}); }) == "TENSOR");
  CHECK(code([](Metadata& m, auto&) { m.set("phi3.block_count", uint32_t{3}); }) == "TENSOR");
  CHECK(code([](Metadata& m, auto&) { m.set("phi3.embedding_length", uint32_t{128}); }) == "TENSOR");
  CHECK(code([](Metadata& m, auto&) { m.set("phi3.rope.dimension_count", uint32_t{8}); }) == "TENSOR");
  CHECK(code([](Metadata&, auto& t) {
          const float zero = 0;
          std::memcpy(find(t, "rope_factors_long.weight").bytes.data(), &zero, sizeof zero);
        }) == "HPARAM");
  CHECK(code([](Metadata& m, auto&) { m.set("general.architecture", std::string("gpt9")); }) == "UNSUPPORTED");
  CHECK(code([](Metadata& m, auto&) { m.set("general.architecture", std::string("clip")); }) == "UNSUPPORTED");  // B17
  CHECK(code([](Metadata& m, auto&) { m.erase("general.architecture"); }) == "HPARAM");
  CHECK(load_code(folder / "absent.gguf") == "NOTFOUND");
}

TEST_CASE("a weight that is not a number: a note, or an error when asked, and an answer that says so") {
  TempFolder folder;
  const std::string path = changed(folder, fixture("phi3-plain"), [](Metadata&, auto& tensors) {
    const float nan = std::nanf("");
    std::memcpy(find(tensors, "blk.1.attn_output.weight").bytes.data() + 400, &nan, sizeof nan);
  });
  for (const char* device : {"reference", "cpu"}) {
    RunOptions options = exact(path, device);
    auto model = Model::load(options);
    REQUIRE(model->info().notes.size() == 1);
    CHECK(model->info().notes[0].find("blk.1.attn_output.weight") != std::string::npos);
    auto session = model->open_session();
    session->set_tokens(std::vector<int32_t>{5, 6, 7});
    CHECK(code_of([&] { session->generate(greedy_sampling(), 1, [](int32_t) { return true; }); }) == "NUMERICAL");
    options.check_tensors = true;
    CHECK(code_of([&] { Model::load(options); }) == "NAN");
  }
}

TEST_CASE("a text whose logits are not numbers ends alone") {
  TempFolder folder;
  // One token's embedding is infinite: who says it fails, who does not goes on.
  const std::string path = changed(folder, fixture("phi3-plain"), [](Metadata&, auto& tensors) {
    const float inf = INFINITY;
    std::memcpy(find(tensors, "token_embd.weight").bytes.data() + 100 * 64 * sizeof(float), &inf, sizeof inf);
  });
  RunOptions options = exact(path, "cpu");
  options.n_sequences = 3;
  auto model = Model::load(options);
  std::vector<Model::GenerateRequest> requests(3);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt = {5, 6, static_cast<int32_t>(99 + i), 7};
    requests[i].sampling = greedy_sampling();
    requests[i].n_predict = 6;
  }
  const auto results = model->generate(requests);
  const auto clean = Model::load(exact(fixture("phi3-plain"), "cpu"))->generate(requests);
  CHECK(results[0].tokens == clean[0].tokens);
  CHECK(results[1].error.starts_with("NUMERICAL: "));
  CHECK(results[1].tokens.empty());
  CHECK(results[2].tokens == clean[2].tokens);
}

TEST_CASE("options out of range, and metadata from the command line") {
  const std::string path = fixture("phi3-plain");
  auto code = [&](const std::function<void(RunOptions&)>& change) {
    RunOptions o = exact(path);
    change(o);
    return code_of([&] { Model::load(o); });
  };
  CHECK(code([](RunOptions& o) { o.n_ubatch = 0; }) == "ARGUMENT");
  CHECK(code([](RunOptions& o) { o.n_threads = -1; }) == "ARGUMENT");
  CHECK(code([](RunOptions& o) { o.n_context = -5; }) == "ARGUMENT");
  CHECK(code([](RunOptions& o) { o.cache_type_k = "q4_0"; }) == "ARGUMENT");
  CHECK(code([](RunOptions& o) { o.cache_type_v = "q8_0"; }) == "ARGUMENT");  // heads of 16
  CHECK(code([](RunOptions& o) { o.device = "abacus"; }) == "UNSUPPORTED");
  CHECK(code([](RunOptions& o) { o.isa = "abacus", o.device = "cpu"; }) == "UNSUPPORTED");
  CHECK(code([](RunOptions& o) { o.override_kv = {"phi3.attention.head_count=int:0"}; }) == "HPARAM");
  CHECK(code([](RunOptions& o) { o.override_kv = {"phi3.attention.head_count"}; }) == "ARGUMENT");
  CHECK(code([](RunOptions& o) { o.override_kv = {"phi3.attention.head_count=int:4x"}; }) == "ARGUMENT");
  RunOptions o = exact(path);
  o.override_kv = {"general.name=str:Mine", "phi3.rope.freq_base=float:5000"};
  auto model = Model::load(o);
  CHECK(model->info().name == "Mine");
  CHECK(all_logits(*model, std::vector<int32_t>{3, 4, 5}) != all_logits(exact(path), std::vector<int32_t>{3, 4, 5}));
}

TEST_CASE("what a model says of itself") {
  RunOptions o = exact(fixture("phi3-longrope", "q8_0"), "cpu");
  o.n_gpu_layers = 10;
  o.n_threads = 2;
  o.n_sequences = 2;
  o.cache_type_k = o.cache_type_v = "f16";
  int n_progress = 0;
  uint64_t last = 0;
  auto model = Model::load(o, [&](const Progress& p) {
    ++n_progress;
    CHECK(p.done >= last);
    CHECK(p.done <= p.total);
    last = p.done;
    return true;
  });
  CHECK(n_progress > 5);
  const ModelInfo& info = model->info();
  CHECK(info.architecture == "phi3");
  CHECK(info.file_type == "Q8_0");
  CHECK(info.n_context_train == 128);
  CHECK(info.n_context == 128);
  CHECK(info.n_layers == 2);
  CHECK(info.vocab_size == 288);
  CHECK(info.n_threads == 2);
  CHECK(info.kv_bytes == 2 * 128 * 2 * 2 * 64 * 2);  // sequences, tokens, layers, K and V, 4 heads of 16, two bytes
  CHECK(info.n_parameters == 288 * 64 * 2 + 64 + 16 + 2 * (64 * 2 + 192 * 64 + 64 * 64 + 192 * 64 + 96 * 64));
  REQUIRE(info.notes.size() == 1);
  CHECK(info.notes[0].find("GPU") != std::string::npos);
  CHECK(code_of([&] { Model::load(o, [](const Progress&) { return false; }); }) == "CANCELLED");
}

TEST_CASE("a context that no machine holds is refused with the sizes, one beyond the model's is noted") {
  RunOptions o = exact(fixture("phi3-plain"));
  o.n_context = INT32_MAX / 2;
  CHECK(code_of([&] { Model::load(o); }) == "NOMEM");
  o.n_context = 300;
  auto model = Model::load(o);
  CHECK(model->info().n_context == 300);
  REQUIRE(model->info().notes.size() == 1);
  CHECK(model->info().notes[0].find("256") != std::string::npos);
}
