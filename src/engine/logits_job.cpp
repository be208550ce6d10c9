// Logits of many texts in the same steps. A text holds the pages for all it needs from its start, so it always ends. The
// beginning that a text shares with the one before (a question's choices) is computed once and copied.
#include <algorithm>
#include <list>
#include <utility>

#include "base/fail.h"
#include "engine/engine.h"

namespace phial {
namespace {

constexpr int64_t kLeastShared = 8;  // tokens; fewer are not worth a step's wait

class JobRunner {
 public:
  JobRunner(Engine& engine, LogitsJob& job) : engine_(engine), runner_(*engine.runner), job_(job) {}
  ~JobRunner() {
    std::lock_guard lock(runner_.mutex());
    for (Running& r : running_) runner_.forget(r.sequence);
    runner_.forget(previous_.sequence);
  }

  void run() {
    for (admit(); !running_.empty(); admit()) {
      const int64_t n_tokens = step();
      share();
      finish();
      if (!job_.go_on(n_tokens)) fail(ErrorCode::cancelled, "stopped; {} texts were done", n_texts_ - std::ssize(running_));
    }
  }

 private:
  struct Running {
    int64_t text = -1;
    int64_t begin = 0, end = 0;  // rows wanted
    Sequence sequence;
    const Running* source = nullptr;  // the text before, whose beginning is waited for
    int64_t n_shared = 0;

    int64_t n_pending() const { return end - sequence.n_computed; }
  };

  /// Takes texts until the next step is full or the pages are spent.
  void admit() {
    int64_t n_ready = 0;
    for (const Running& r : running_) n_ready += r.source ? 0 : r.n_pending();
    while (n_ready < runner_.limits().max_tokens && std::cmp_less(running_.size(), runner_.limits().max_outputs)) {
      if (!fetch()) return;
      Running r;
      r.text = n_texts_;
      r.begin = waiting_.begin;
      r.end = waiting_.end;
      std::lock_guard lock(runner_.mutex());
      if (!take_pages(r)) return;
      r.sequence.tokens = std::move(waiting_.tokens);
      has_waiting_ = false;
      ++n_texts_;
      runner_.settle(r.sequence);
      running_.push_back(std::move(r));
      find_source();
      n_ready += running_.back().source ? 0 : running_.back().n_pending();
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

  bool take_pages(Running& r) {
    const int64_t wanted = pages_for(r.end);
    if (runner_.pool().grow(r.sequence.pages, wanted)) return true;
    if (!running_.empty()) return false;  // pages come back when one of them ends
    runner_.forget(previous_.sequence);
    previous_ = {};
    if (!runner_.pool().grow(r.sequence.pages, wanted))
      fail(ErrorCode::busy, "{} pages of the KV cache are wanted, {} of {} are free; close sessions", wanted,
           runner_.pool().n_free(), runner_.pool().n_pages());
    return true;
  }

  /// For the newest text: the one before, if enough of its beginning is the same.
  void find_source() {
    Running& r = running_.back();
    const bool runs = running_.size() > 1;
    const Running& before = runs ? *std::prev(running_.end(), 2) : previous_;
    if (before.text >= 0 && before.sequence.rope_set == r.sequence.rope_set) {
      const auto& a = before.sequence.tokens;
      const auto& b = r.sequence.tokens;
      const int64_t same = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
      r.n_shared = std::min({same, before.end, r.begin});
      if (r.n_shared >= kLeastShared) r.source = &before;
    }
    share_with(r);
    if (previous_.text >= 0) {
      runner_.forget(previous_.sequence);
      previous_ = {};
    }
  }

  void share_with(Running& r) {
    if (!r.source || r.source->sequence.n_computed < r.n_shared) return;
    runner_.copy_beginning(r.source->sequence, r.sequence, r.n_shared);
    r.source = nullptr;
  }

  /// After a step: the texts that wait for a beginning that is there now. In order, so that each is the source of the next.
  void share() {
    std::lock_guard lock(runner_.mutex());
    for (Running& r : running_) share_with(r);
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
      if (r.source) continue;
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

  /// Texts end in order. The newest one keeps its pages until the next is there, which may begin like it.
  void finish() {
    while (!running_.empty() && running_.front().n_pending() == 0) {
      const int64_t text = running_.front().text;
      if (text + 1 == n_texts_) {
        previous_ = std::move(running_.front());
      } else {
        std::lock_guard lock(runner_.mutex());
        runner_.forget(running_.front().sequence);
      }
      running_.pop_front();
      job_.done(text);
    }
  }

  Engine& engine_;
  Runner& runner_;
  LogitsJob& job_;
  LogitsJob::Text waiting_;  // fetched, not started yet
  bool has_waiting_ = false, at_end_ = false;
  int64_t n_texts_ = 0;  // started
  std::list<Running> running_;
  Running previous_;  // the newest text when it has ended; text -1 = none
};

}  // namespace

void logits_together(Engine& engine, LogitsJob& job) { JobRunner(engine, job).run(); }

}  // namespace phial
