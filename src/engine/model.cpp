// The Model that callers hold: loading, logits, and the doors to sessions and to several texts at once.
#include <algorithm>
#include <chrono>

#include "base/fail.h"
#include "base/system_memory.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"

namespace phial {
namespace {

class LoadedModel final : public Model {
 public:
  explicit LoadedModel(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  const ModelInfo& info() const override { return engine_->info; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return engine_->tokenizer; }
  std::unique_ptr<Session> open_session() override { return phial::open_session(engine_); }

  void logits(std::span<const int32_t> tokens, const std::function<void(int64_t, std::span<const float>)>& sink) override {
    engine_->check_text(tokens);
    Runner& runner = *engine_->runner;
    Sequence s;
    s.tokens.assign(tokens.begin(), tokens.end());
    std::lock_guard lock(runner.mutex());
    struct Cleanup {
      Runner& runner;
      Sequence& s;
      ~Cleanup() { runner.forget(s); }
    } cleanup{runner, s};
    runner.settle(s);
    while (s.n_pending() > 0) {
      const int64_t first = s.n_computed;
      const int64_t n = std::min(s.n_pending(), runner.limits().max_outputs);
      const StepItem item{&s, n, n};
      const Tensor rows = runner.step({&item, 1});
      for (int64_t i = 0; i < rows.n_rows; ++i) sink(first + i, {rows.row(i), static_cast<size_t>(rows.n_cols)});
    }
  }

  void logits(LogitsJob& job) override { logits_together(*engine_, job); }

  std::vector<GenerateResult> generate(std::span<const GenerateRequest> requests) override {
    return generate_together(*engine_, requests);
  }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace

void Engine::check_text(std::span<const int32_t> tokens) const {
  if (std::cmp_greater(tokens.size(), info.n_context))
    fail(ErrorCode::context_full, "the text has {} tokens, the context holds {}: shorten it, or ask for a larger context with -c",
         tokens.size(), info.n_context);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= config.vocab_size)
      fail(ErrorCode::token, "token {} at position {} is no id of this model; ids lie in 0..{}", tokens[i], i,
           config.vocab_size - 1);
}

const ModelIdentity& Engine::identity() {
  std::call_once(identified_, [this] { identity_ = identify_model(files, override_kv, *pool); });
  return identity_;
}

std::shared_ptr<Engine> load_engine(const RunOptions& options, const ProgressFn& progress) {
  const auto begin = std::chrono::steady_clock::now();
  OpenedModel opened = open_model(options);
  auto engine = std::make_shared<Engine>();
  ModelInfo& info = engine->info;
  engine->n_sequences = options.n_sequences;
  engine->tokenizer = opened.tokenizer;
  const std::shared_ptr<GgufFile> file = opened.file;
  const Architecture& arch = *opened.arch;
  engine->files = file->files();
  engine->override_kv = options.override_kv;
  engine->pool = opened.pool;
  if (options.n_gpu_layers > 0) info.notes.push_back("no GPU backend in this build: all layers run on the CPU");

  const MemoryPlan plan = MemoryPlanner(opened, options).choose(available_memory());
  engine->device = std::move(opened.device);
  const Config& config = engine->config = opened.config;
  if (!plan.note.empty()) info.notes.push_back(plan.note);
  if (plan.n_context > config.max_position_embeddings)
    info.notes.push_back(
        fmt::format("a context of {} tokens is longer than the {} this model was made for; answers beyond may degrade",
                    plan.n_context, config.max_position_embeddings));
  WeightLoader loader(*file, *engine->device, {options.mmap, options.check_tensors, progress});
  engine->decoder = arch.build(config, loader);
  if (loader.n_non_finite() > 0)
    info.notes.push_back(
        fmt::format("{} tensors hold NaN or infinite values, the first is '{}': the file is damaged, answers may be nonsense",
                    loader.n_non_finite(), printable(loader.first_non_finite())));

  engine->rope = std::make_unique<RopeTable>(
      config.rope, config.rope.original_context ? config.rope.original_context : config.max_position_embeddings);
  RunnerLimits limits;
  limits.max_tokens = plan.max_tokens;
  limits.max_outputs = plan.max_outputs;
  limits.n_context = plan.n_context;
  limits.n_pages = plan.n_pages;
  limits.workspace_bytes = plan.workspace_capacity;
  limits.n_threads = opened.n_threads;
  limits.n_threads_batch = opened.n_threads_batch;
  engine->runner =
      std::make_unique<Runner>(*engine->device, *engine->decoder, *engine->rope, opened.kv, limits, opened.pool, loader.maps());

  info.name = config.name;
  info.architecture = config.architecture;
  info.file_type = opened.file_type();
  info.device = engine->device->name() + " (" + engine->device->description() + ")";
  for (const TensorEntry& t : file->tensors()) info.n_parameters += t.n_values();
  const TensorEntry* head = nullptr;
  for (const ExpectedTensor& e : expected_tensors(arch, config)) {
    const TensorEntry* t = file->find(e.gguf);
    if (!t) continue;
    if (e.spec->role == Role::matrix) info.matrix_values += t->n_values(), info.matrix_bytes += t->n_bytes;
    if (e.spec->role == Role::output || (e.spec->role == Role::embedding && !head)) head = t;
  }
  if (head) info.matrix_bytes += head->n_bytes;
  for (const auto& f : file->files()) info.file_bytes += f->size();
  info.weight_bytes = loader.n_bytes();
  info.kv_bytes = engine->runner->kv_bytes();
  info.workspace_bytes = plan.workspace_bytes;
  info.n_context_train = config.max_position_embeddings;
  info.n_context = plan.n_context;
  info.n_layers = config.n_layers;
  info.hidden_size = config.hidden_size;
  info.vocab_size = static_cast<int32_t>(config.vocab_size);
  info.n_threads = opened.n_threads;
  engine->load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return engine;
}

std::shared_ptr<Model> Model::load(const RunOptions& options, const ProgressFn& progress) {
  return std::make_shared<LoadedModel>(load_engine(options, progress));
}

}  // namespace phial
