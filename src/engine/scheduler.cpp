// Several requests in the same steps.
#include <algorithm>
#include <deque>
#include <memory>

#include "base/fail.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace phial {
namespace {

struct Running {
  size_t index;       // of the request
  Sequence sequence;  // holds the pages for all it may become
  Sampler sampler;
  int64_t n_left;  // tokens still wanted; < 0: no limit
  bool done = false;
};

class Scheduler {
 public:
  Scheduler(Engine& engine, std::span<const Model::GenerateRequest> requests)
      : engine_(engine), runner_(*engine.runner), requests_(requests), results_(requests.size()) {
    for (size_t i = 0; i < requests.size(); ++i) waiting_.push_back(i);
  }
  ~Scheduler() {
    std::lock_guard lock(runner_.mutex());
    for (auto& r : running_) runner_.forget(r->sequence);
  }

  std::vector<Model::GenerateResult> run() {
    while (!waiting_.empty() || !running_.empty()) {
      admit();
      if (!running_.empty()) step();
    }
    return std::move(results_);
  }

 private:
  /// Starts waiting requests, first come first served, while pages for all that they may become are free.
  void admit() {
    while (!waiting_.empty() && std::cmp_less(running_.size(), runner_.limits().max_outputs)) {
      const size_t i = waiting_.front();
      const Model::GenerateRequest& request = requests_[i];
      const int64_t n_prompt = static_cast<int64_t>(request.prompt.size());
      try {
        if (n_prompt == 0) fail(ErrorCode::argument, "the prompt is empty");
        engine_.check_text(request.prompt);
        if (request.n_predict == 0 || n_prompt == engine_.info.n_context) {
          results_[i].reason = request.n_predict == 0 ? StopReason::length : StopReason::context_full;
          waiting_.pop_front();
          continue;
        }
        int64_t most = engine_.info.n_context;
        if (request.n_predict >= 0) most = std::min(most, n_prompt + std::min(request.n_predict, most));
        const int64_t wanted = pages_for(most);
        auto r = std::make_unique<Running>(Running{i, {}, Sampler(request.sampling, engine_.tokenizer), request.n_predict});
        {
          std::lock_guard lock(runner_.mutex());
          if (!runner_.pool().grow(r->sequence.pages, wanted)) {
            if (!running_.empty()) return;  // pages come back when one of them ends
            fail(ErrorCode::busy, "{} pages of the KV cache are wanted, {} of {} are free; close sessions, or lower n_predict",
                 wanted, runner_.pool().n_free(), runner_.pool().n_pages());
          }
        }
        r->sequence.tokens = request.prompt;
        for (int32_t id : request.prompt) r->sampler.accept(id);
        waiting_.pop_front();
        running_.push_back(std::move(r));
      } catch (const Error& e) {
        results_[i].error = std::string(e.code_text()) + ": " + e.what();
        waiting_.pop_front();
      }
    }
  }

  void step() {
    std::vector<StepItem> items;
    std::vector<Running*> who;  // finish their text in this step, in order of the logits
    int64_t room = runner_.limits().max_tokens;
    std::unique_lock lock(runner_.mutex());
    for (auto& r : running_) runner_.settle(r->sequence);
    auto take = [&](Running& r) {
      const int64_t n = std::min(r.sequence.n_pending(), room);
      if (n == 0) return;
      const bool last = n == r.sequence.n_pending();
      items.push_back({&r.sequence, n, last ? 1 : 0});
      if (last) who.push_back(&r);
      room -= n;
    };
    // Running texts first, so that a long prompt does not hold them up.
    for (auto& r : running_)
      if (r->sequence.n_pending() == 1) take(*r);
    for (auto& r : running_)
      if (r->sequence.n_pending() > 1) take(*r);
    const Tensor logits = runner_.step(items);
    for (size_t i = 0; i < who.size(); ++i)
      advance(*who[i], {logits.row(static_cast<int64_t>(i)), static_cast<size_t>(logits.n_cols)});
    std::erase_if(running_, [&](const std::unique_ptr<Running>& r) {
      if (!r->done) return false;
      runner_.forget(r->sequence);
      return true;
    });
  }

  void advance(Running& r, std::span<const float> logits) {
    Model::GenerateResult& result = results_[r.index];
    try {
      const int32_t id = r.sampler.sample(logits);
      r.sampler.accept(id);
      r.sequence.tokens.push_back(id);
      result.tokens.push_back(id);
      if (requests_[r.index].on_token) requests_[r.index].on_token(id);
      if (r.n_left > 0) --r.n_left;
      if (engine_.tokenizer->is_end_of_generation(id))
        finish(r, StopReason::end_of_generation);
      else if (r.n_left == 0)
        finish(r, StopReason::length);
      else if (std::cmp_greater_equal(r.sequence.tokens.size(), engine_.info.n_context))
        finish(r, StopReason::context_full);
    } catch (const Error& e) {
      result.error = std::string(e.code_text()) + ": " + e.what();
      finish(r, StopReason::cancelled);
    }
  }

  void finish(Running& r, StopReason reason) {
    results_[r.index].reason = reason;
    r.done = true;
  }

  Engine& engine_;
  Runner& runner_;
  std::span<const Model::GenerateRequest> requests_;
  std::vector<Model::GenerateResult> results_;
  std::deque<size_t> waiting_;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace

std::vector<Model::GenerateResult> generate_together(Engine& engine, std::span<const Model::GenerateRequest> requests) {
  return Scheduler(engine, requests).run();
}

}  // namespace phial
