// Every architecture against transformers, on tiny random checkpoints; and the same bits whatever the chunk, the threads,
// the batch mates and the pages.
#include "backends/cpu/kernel_table.h"
#include "engine/engine.h"
#include "fixture_models.h"
#include "tensor/registry.h"

using namespace phial;
using namespace phial::test;

namespace {

constexpr double kTolerance = 1e-8;

std::vector<int32_t> generated(Model& model, const std::vector<int32_t>& prompt, int64_t n) {
  std::vector<int32_t> out;
  auto session = model.open_session();
  session->set_tokens(prompt);
  session->generate(greedy_sampling(), n, [&](int32_t id) {
    out.push_back(id);
    return true;
  });
  return out;
}

/// A text longer than a page and than a chunk, of ids every fixture has.
std::vector<int32_t> long_text(int n, int seed = 1) {
  std::vector<int32_t> out;
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u;
  for (int i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<int32_t>(3 + (state >> 8) % 250));
  }
  return out;
}

}  // namespace

TEST_CASE("logits equal those of transformers at every position") {
  for (const std::string& name : fixture_names())
    for (const BackendEntry& backend : backends()) {
      CAPTURE(name);
      CAPTURE(backend.name);
      auto model = Model::load(exact(fixture(name), backend.name));
      for (const Expected::Case& c : expected(name).cases) {
        CAPTURE(c.tokens.size());
        const auto row = static_cast<size_t>(model->info().vocab_size);
        CHECK(worst_nmse(all_logits(*model, c.tokens), c.logits, row) <= kTolerance);
      }
    }
}

TEST_CASE("greedy generation equals that of transformers, also across the original context") {
  for (const std::string& name : fixture_names())
    for (const BackendEntry& backend : backends()) {
      CAPTURE(name);
      CAPTURE(backend.name);
      auto model = Model::load(exact(fixture(name), backend.name));
      const Expected e = expected(name);
      CHECK(generated(*model, e.prompt, static_cast<int64_t>(e.greedy.size())) == until_end(*model->tokenizer(), e.greedy));
    }
}

TEST_CASE("the set of rope factors follows the real length: one below the original context, equal, one above") {
  // transformers' logits of 31, 32 and 33 tokens with an original context of 32 are among the fixture's cases; here the
  // same first token must come out differently on the two sides, and equally on one side.
  auto model = Model::load(exact(fixture("phi3-longrope")));
  const auto text = long_text(33);
  const auto row = static_cast<size_t>(model->info().vocab_size);
  auto second_row = [&](size_t n) {
    const auto all = all_logits(*model, std::span(text).first(n));
    return std::vector<float>(all.begin() + static_cast<long>(row), all.begin() + static_cast<long>(2 * row));
  };
  CHECK(second_row(31) == second_row(32));
  CHECK(second_row(32) != second_row(33));
  // The size of the context window plays no part.
  RunOptions small = exact(fixture("phi3-longrope"));
  small.n_context = 33;
  CHECK(all_logits(small, std::span(text).first(31)) == all_logits(*model, std::span(text).first(31)));
}

TEST_CASE("the same bits for any chunk size and any number of threads") {
  for (const std::string& name : fixture_names())
    for (const char* cache : {"f32", "f16", "i16", "q8_0"}) {
      RunOptions options = exact(fixture(name), "cpu");
      options.cache_type_k = options.cache_type_v = cache;
      if (std::string(cache) == "q8_0" && name != "qwen3") continue;  // heads of 16 have no blocks of 32
      CAPTURE(name);
      CAPTURE(cache);
      const auto text = long_text(100);
      options.n_ubatch = 512;
      const auto whole = all_logits(options, text);
      for (const auto& [chunk, threads] : {std::pair{1, 1}, {7, 2}, {64, 3}, {512, 2}, {512, 3}}) {
        options.n_ubatch = chunk;
        options.n_threads = threads;
        CAPTURE(chunk);
        CAPTURE(threads);
        CHECK(all_logits(options, text) == whole);
      }
    }
}

TEST_CASE("the CPU's bits are the reference's") {
  for (const std::string& name : fixture_names())
    for (const char* type : {"f32", "f16", "q8_0", "q4_0"}) {
      CAPTURE(name);
      CAPTURE(type);
      const auto text = long_text(70);
      RunOptions options = exact(fixture(name, type), "cpu");
      // Tiles of f16 round the activations of F16 weights: the best kernels that do not.
      if (type == std::string_view("f16") && cpu::kernel_table("").name == std::string_view("amx_fp16")) options.isa = "amx";
      CHECK(all_logits(options, text) == all_logits(exact(fixture(name, type), "reference"), text));
    }
}

TEST_CASE("texts decoded together give what each gives alone") {
  for (const std::string name : {"phi3-longrope", "mistral", "qwen3"}) {
    CAPTURE(name);
    RunOptions options = exact(fixture(name), "cpu");
    options.n_sequences = 5;
    options.n_ubatch = 16;  // prompts are cut, and share steps with running texts
    auto model = Model::load(options);
    std::vector<Model::GenerateRequest> requests(7);
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].prompt = long_text(3 + static_cast<int>(i) * 11, static_cast<int>(i));
      requests[i].n_predict = 10 + static_cast<int64_t>(i);
      requests[i].sampling = greedy_sampling();
      if (i % 2 == 1) {
        requests[i].sampling.temperature = 0.9f;
        requests[i].sampling.seed = static_cast<uint32_t>(100 + i);
      }
    }
    const auto together = model->generate(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto alone = model->generate({&requests[i], 1});
      CHECK(together[i].error.empty());
      CHECK(together[i].tokens == alone[0].tokens);
      CHECK(together[i].reason == alone[0].reason);
    }
  }
}

TEST_CASE("it does not matter where a page lies") {
  const auto text = long_text(200);
  auto last_logits = [&](uint32_t seed) {
    auto engine = load_engine(exact(fixture("phi3-plain"), "cpu"), {});
    if (seed != 0) engine->runner->pool().shuffle(seed);
    auto session = open_session(engine);
    session->set_tokens(text);
    return std::vector<float>(session->last_logits().begin(), session->last_logits().end());
  };
  const auto plain = last_logits(0);
  CHECK(last_logits(1) == plain);
  CHECK(last_logits(2) == plain);
}

TEST_CASE("weights in the file's map give the same bits") {
  for (const std::string name : {"llama3", "phi3-partial"})
    for (const char* type : {"f32", "q8_0"}) {
      RunOptions options = exact(fixture(name, type), "cpu");
      const auto text = long_text(20);
      const auto loaded = all_logits(options, text);
      options.mmap = true;
      CHECK(all_logits(options, text) == loaded);
    }
}
