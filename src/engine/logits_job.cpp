// Logits of many texts in the same steps. A text holds the pages for all it needs from its start, so it always ends.
#include <algorithm>
#include <list>
#include <utility>

#include "base/fail.h"
#include "engine/engine.h"

namespace phial {
namespace {

class JobRunner {
 public:
  JobRunner(Engine& engine, LogitsJob& job) : engine_(engine), runner_(*engine.runner), job_(job) {}
  ~JobRunner() {
    std::lock_guard lock(runner_.mutex());
    for (Running& r : running_) runner_.forget(r.sequence);
  }

  void run() {
    for (admit(); !running_.empty(); admit()) {
      const int64_t n_tokens = step();
      finish();
      if (!job_.go_on(n_tokens)) fail(ErrorCode::cancelled, "stopped; {} texts were done", n_texts_ - std::ssize(running_));
    }
  }

 private:
  struct Running {
    int64_t text;
    int64_t begin, end;  // rows wanted
    Sequence sequence;

    int64_t n_pending() const { return end - sequence.n_computed; }
  };

  /// Takes texts until the next step is full or the pages are spent.
  void admit() {
    int64_t n_pending = 0;
    for (const Running& r : running_) n_pending += r.n_pending();
    while (n_pending < runner_.limits().max_tokens && std::cmp_less(running_.size(), runner_.limits().max_outputs)) {
      if (!fetch()) return;
      Running r{n_texts_, waiting_.begin, waiting_.end, {}};
      r.sequence.tokens = std::move(waiting_.tokens);
      {
        std::lock_guard lock(runner_.mutex());
        runner_.settle(r.sequence);
        const int64_t wanted = pages_for(r.end);
        if (!runner_.pool().grow(r.sequence.pages, wanted)) {
          waiting_.tokens = std::move(r.sequence.tokens);
          if (!running_.empty()) return;  // pages come back when one of them ends
          fail(ErrorCode::busy, "{} pages of the KV cache are wanted, {} of {} are free; close sessions", wanted,
               runner_.pool().n_free(), runner_.pool().n_pages());
        }
      }
      ++n_texts_;
      has_waiting_ = false;
      n_pending += r.n_pending();
      running_.push_back(std::move(r));
    }
  }

  bool fetch() {
    if (has_waiting_ || at_end_) return has_waiting_;
    waiting_ = {};
    at_end_ = !job_.next(waiting_);
    if (at_end_) return false;
    engine_.check_text(waiting_.tokens);
    if (waiting_.begin < 0 || waiting_.begin >= waiting_.end || std::cmp_greater(waiting_.end, waiting_.tokens.size()))
      fail(ErrorCode::argument, "logits of the positions {} to {} are wanted of a text of {} tokens", waiting_.begin,
           waiting_.end, waiting_.tokens.size());
    return has_waiting_ = true;
  }

  /// Returns the number of tokens computed.
  int64_t step() {
    struct Row {
      int64_t text, position;
    };
    std::vector<StepItem> items;
    std::vector<Row> rows;
    int64_t tokens_left = runner_.limits().max_tokens, rows_left = runner_.limits().max_outputs;
    for (Running& r : running_) {
      const int64_t first = r.sequence.n_computed;
      int64_t n = std::min(tokens_left, r.n_pending());
      const int64_t first_row = std::max(first, r.begin);
      n -= std::max<int64_t>(0, first + n - first_row - rows_left);
      if (n <= 0) continue;
      const int64_t n_rows = std::max<int64_t>(0, first + n - first_row);
      items.push_back({&r.sequence, n, n_rows});
      for (int64_t i = 0; i < n_rows; ++i) rows.push_back({r.text, first_row + i});
      tokens_left -= n;
      rows_left -= n_rows;
    }
    std::lock_guard lock(runner_.mutex());
    const Tensor logits = runner_.step(items);
    if (!rows.empty())
      runner_.threads().parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const Row& r = rows[static_cast<size_t>(i)];
          job_.row(r.text, r.position, {logits.row(i), static_cast<size_t>(logits.n_cols)});
        }
      });
    return runner_.limits().max_tokens - tokens_left;
  }

  /// The older text always gets its rows first, so texts end in order.
  void finish() {
    while (!running_.empty() && running_.front().n_pending() == 0) {
      {
        std::lock_guard lock(runner_.mutex());
        runner_.forget(running_.front().sequence);
      }
      job_.done(running_.front().text);
      running_.pop_front();
    }
  }

  Engine& engine_;
  Runner& runner_;
  LogitsJob& job_;
  LogitsJob::Text waiting_;  // fetched, not started yet
  bool has_waiting_ = false, at_end_ = false;
  int64_t n_texts_ = 0;  // started
  std::list<Running> running_;
};

}  // namespace

void logits_together(Engine& engine, LogitsJob& job) { JobRunner(engine, job).run(); }

}  // namespace phial
