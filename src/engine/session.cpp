// One sequence at a time, driven by its caller.
#include <algorithm>
#include <chrono>

#include "base/fail.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/session_file.h"

namespace phial {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

class EngineSession final : public Session {
 public:
  explicit EngineSession(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {
    timings_.load_seconds = engine_->load_seconds;
  }

  ~EngineSession() override {
    std::lock_guard lock(engine_->runner->mutex());
    engine_->runner->forget(sequence_);
    --engine_->n_open;
  }

  void set_tokens(std::span<const int32_t> tokens, const std::function<bool()>& cancel) override {
    engine_->check_text(tokens);
    since_set_ = Stopwatch();
    const auto [end, other] = std::mismatch(sequence_.tokens.begin(), sequence_.tokens.end(), tokens.begin(), tokens.end());
    const int64_t common = end - sequence_.tokens.begin();
    const bool unchanged = std::cmp_equal(common, tokens.size()) && sequence_.tokens.size() == tokens.size();
    sequence_.tokens.assign(tokens.begin(), tokens.end());
    sequence_.n_computed = std::min(sequence_.n_computed, common);
    if (!unchanged) logits_.clear();
    {
      std::lock_guard lock(engine_->runner->mutex());
      engine_->runner->settle(sequence_);
      // The last token is always computed anew: its logits are what comes next.
      if (logits_.empty())
        sequence_.n_computed = std::min(sequence_.n_computed, std::max<int64_t>(sequence_.tokens.size(), 1) - 1);
      engine_->runner->pool().shrink(sequence_.pages, pages_for(sequence_.n_computed));
    }
    timings_.n_cached = sequence_.n_computed;
    timings_.n_prompt = sequence_.n_pending();
    timings_.n_generated = 0;
    timings_.generate_seconds = timings_.first_token_seconds = 0;
    compute(cancel);
    timings_.prompt_seconds = since_set_.seconds();
  }

  StopReason generate(const SamplerParams& params, int64_t n_predict, const std::function<bool(int32_t)>& on_token) override {
    if (sequence_.tokens.empty()) fail(ErrorCode::argument, "generate: the text is empty; give it at least one token first");
    Sampler sampler(params, engine_->tokenizer);
    for (int32_t id : sequence_.tokens) sampler.accept(id);
    const Stopwatch watch;
    StopReason reason = StopReason::length;
    for (int64_t n = 0; n_predict < 0 || n < n_predict; ++n) {
      if (std::cmp_greater_equal(sequence_.tokens.size(), engine_->info.n_context)) {
        reason = StopReason::context_full;
        break;
      }
      compute({});
      const int32_t id = sampler.sample(logits_);
      sampler.accept(id);
      sequence_.tokens.push_back(id);
      logits_.clear();
      ++timings_.n_generated;
      if (timings_.first_token_seconds == 0) timings_.first_token_seconds = since_set_.seconds();
      const bool go_on = on_token(id);
      if (engine_->tokenizer->is_end_of_generation(id)) {
        reason = StopReason::end_of_generation;
        break;
      }
      if (!go_on) {
        reason = StopReason::cancelled;
        break;
      }
    }
    timings_.generate_seconds += watch.seconds();
    return reason;
  }

  void save(const std::string& path, const std::string& note) override {
    const ModelIdentity& model = engine_->identity();
    std::lock_guard lock(engine_->runner->mutex());
    write_session(path, model, engine_->runner->kv(), sequence_, note);
  }

  std::string load(const std::string& path) override {
    Runner& runner = *engine_->runner;
    const SessionReader file(path, engine_->identity(), runner.kv());
    engine_->check_text(file.tokens());
    std::lock_guard lock(runner.mutex());
    const int64_t n_pages = pages_for(file.n_computed());
    if (n_pages > runner.pool().n_free() + static_cast<int64_t>(sequence_.pages.size()))
      fail(ErrorCode::busy, "the session takes {} pages of the KV cache, {} of {} are free; wait for other sequences to end",
           n_pages, runner.pool().n_free(), runner.pool().n_pages());
    runner.forget(sequence_);
    sequence_.tokens.clear();
    logits_.clear();
    PHIAL_CHECK(runner.pool().grow(sequence_.pages, n_pages));
    file.read_pages(runner.kv(), sequence_.pages);  // a file that changes under us leaves an empty session
    sequence_.tokens = file.tokens();
    sequence_.rope_set = file.rope_set();
    // The last token is computed anew for its logits: the same numbers, since nothing depends on how steps are cut.
    sequence_.n_computed = std::min(file.n_computed(), std::max<int64_t>(static_cast<int64_t>(sequence_.tokens.size()), 1) - 1);
    runner.pool().shrink(sequence_.pages, pages_for(sequence_.n_computed));
    timings_ = {};
    timings_.load_seconds = engine_->load_seconds;
    timings_.n_cached = sequence_.n_computed;
    return file.note();
  }

  std::span<const int32_t> tokens() const override { return sequence_.tokens; }
  std::span<const float> last_logits() const override { return logits_; }
  const Timings& timings() const override { return timings_; }

 private:
  /// Brings the cache up to the text's end, step by step, and keeps the logits of the last token.
  void compute(const std::function<bool()>& cancel) {
    Runner& runner = *engine_->runner;
    {
      std::lock_guard lock(runner.mutex());
      runner.settle(sequence_);
    }
    while (sequence_.n_pending() > 0) {
      if (cancel && cancel())
        fail(ErrorCode::cancelled, "stopped after {} of {} tokens", sequence_.n_computed, sequence_.tokens.size());
      const int64_t n = std::min(sequence_.n_pending(), runner.limits().max_tokens);
      const bool last = n == sequence_.n_pending();
      const StepItem item{&sequence_, n, last ? 1 : 0};
      std::lock_guard lock(runner.mutex());
      const Tensor logits = runner.step({&item, 1});
      if (last) logits_.assign(logits.data, logits.data + logits.n_cols);
    }
  }

  std::shared_ptr<Engine> engine_;
  Sequence sequence_;
  std::vector<float> logits_;  // after the last token; empty = not computed
  Timings timings_;
  Stopwatch since_set_;
};

}  // namespace

std::unique_ptr<Session> open_session(std::shared_ptr<Engine> engine) {
  if (++engine->n_open > engine->n_sequences) {
    --engine->n_open;
    fail(ErrorCode::busy, "all {} sequences of the model are in use; close one, or load it with more (n_sequences)",
         engine->n_sequences);
  }
  return std::make_unique<EngineSession>(std::move(engine));
}

}  // namespace phial
