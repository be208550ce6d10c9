// Perplexity in chunks: the text is cut into pieces of n_context tokens that do not see each other, the second half of each is
// scored. With a stride the pieces overlap and the last `stride` tokens of each are scored.
#include <algorithm>
#include <deque>
#include <optional>

#include "base/fail.h"
#include "engine/log_prob_file.h"
#include "engine/log_softmax.h"
#include "engine/statistics.h"
#include "phial/evaluate.h"
#include "tokenizer/vocab.h"

namespace phial {
namespace {

/// Where chunks lie in the text, and what of them is scored.
struct Chunks {
  int64_t length = 0, step = 0, n = 0;
  int64_t first = 0;             // the first position whose prediction counts; the last is length - 2
  bool begins_with_bos = false;  // each chunk's first token is replaced
};

Chunks lay_chunks(int64_t n_tokens, bool adds_bos, const PerplexityOptions& o) {
  if (o.n_context < 3 || o.n_context > INT32_MAX / 2)
    fail(ErrorCode::argument, "perplexity with a context of {} tokens: it must be at least 3", o.n_context);
  if (o.stride < 0 || o.stride >= o.n_context)
    fail(ErrorCode::argument, "a stride of {} does not fit chunks of {} tokens; give a smaller --ppl-stride", o.stride,
         o.n_context);
  Chunks c;
  c.length = o.n_context + o.stride / 2;
  if (n_tokens < 2 * c.length)
    fail(ErrorCode::argument,
         "the text has {} tokens; perplexity with chunks of {} needs at least {}: give a longer text, or a smaller context with "
         "-c",
         n_tokens, c.length, 2 * c.length);
  if (o.stride > 0) {
    c.step = o.stride;
    c.first = c.length - o.stride - 1;
    c.n = (n_tokens - c.length + o.stride - 1) / o.stride;
  } else {
    c.step = c.length;
    c.first = first_scored(c.length);
    c.n = n_tokens / c.length;
    c.begins_with_bos = adds_bos;
  }
  if (o.n_chunks >= 0) c.n = std::min(c.n, o.n_chunks);
  if (c.n == 0) fail(ErrorCode::argument, "--chunks 0: nothing to do; -1 means all");
  return c;
}

class PerplexityJob final : public LogitsJob {
 public:
  PerplexityJob(Model& model, std::span<const int32_t> tokens, const PerplexityOptions& options,
                const std::function<void(const PerplexityResult&)>& on_chunk, const ProgressFn& progress)
      : tokens_(tokens), on_chunk_(on_chunk), progress_(progress), vocab_size_(model.info().vocab_size) {
    const Vocab& vocab = model.tokenizer()->vocab();
    bos_ = model.tokenizer()->bos();
    chunks_ = lay_chunks(std::ssize(tokens), vocab.add_bos && bos_ >= 0, options);
    result_.n_tokens = std::ssize(tokens);
    result_.n_chunks = chunks_.n;
    if (options.base_file.empty()) return;
    if (options.stride > 0)
      fail(ErrorCode::argument, "--kl-divergence-base holds whole chunks; it cannot be written with --ppl-stride");
    writer_.emplace(options.base_file, BaseFileInfo{chunks_.length, vocab_size_, chunks_.n},
                    tokens.first(static_cast<size_t>(chunks_.n * chunks_.length)));
  }

  bool next(Text& text) override {
    if (n_given_ == chunks_.n) return false;
    const std::span<const int32_t> piece =
        tokens_.subspan(static_cast<size_t>(n_given_ * chunks_.step), static_cast<size_t>(chunks_.length));
    text.tokens.assign(piece.begin(), piece.end());
    if (chunks_.begins_with_bos) text.tokens[0] = bos_;
    text.begin = chunks_.first;
    text.end = chunks_.length - 1;
    Chunk c{std::vector<double>(static_cast<size_t>(text.end - text.begin)), {}};
    if (writer_) c.rows.emplace(text.end - text.begin, vocab_size_);
    open_.push_back(std::move(c));
    ++n_given_;
    return true;
  }

  void row(int64_t text, int64_t position, std::span<const float> logits) override {
    Chunk& c = open_[static_cast<size_t>(text - result_.n_done)];
    const RowSummary summary = summarize(logits);
    const int32_t id = tokens_[static_cast<size_t>(text * chunks_.step + position + 1)];
    const int64_t i = position - chunks_.first;
    c.nll[static_cast<size_t>(i)] = -summary.log_prob(logits[static_cast<size_t>(id)]);
    if (c.rows) c.rows->put(i, logits, summary);
  }

  void done(int64_t text) override {
    Chunk& c = open_.front();
    for (size_t i = 0; i < c.nll.size(); ++i) {
      if (std::isnan(c.nll[i]))
        fail(ErrorCode::numerical, "the logits after token {} of chunk {} are not finite: the model's file is damaged",
             chunks_.first + static_cast<int64_t>(i), text);
      moments_.add(c.nll[i]);
    }
    if (writer_) writer_->write(*c.rows);
    open_.pop_front();
    ++result_.n_done;
    result_.n_scored = moments_.n;
    result_.nll = moments_.estimate();
    result_.ppl = exp_of(result_.nll);
    if (on_chunk_) on_chunk_(result_);
  }

  bool go_on(int64_t n_tokens) override {
    n_computed_ += n_tokens;
    if (!progress_) return true;
    const std::string item = result_.n_done > 0 ? fmt::format("PPL {:.4f} +/- {:.4f}", result_.ppl.value, result_.ppl.error) : "";
    return progress_(
        {"perplexity", item, static_cast<uint64_t>(n_computed_), static_cast<uint64_t>(chunks_.n * (chunks_.length - 1)), ""});
  }

  PerplexityResult finish() {
    if (writer_) writer_->commit();
    return result_;
  }

 private:
  struct Chunk {
    std::vector<double> nll;  // of each scored token
    std::optional<LogProbRows> rows;
  };

  std::span<const int32_t> tokens_;
  const std::function<void(const PerplexityResult&)>& on_chunk_;
  const ProgressFn& progress_;
  int64_t vocab_size_;
  int32_t bos_ = -1;
  Chunks chunks_;
  std::deque<Chunk> open_;  // given to the engine, not done
  int64_t n_given_ = 0, n_computed_ = 0;
  std::optional<LogProbWriter> writer_;
  Moments moments_;
  PerplexityResult result_;
};

}  // namespace

PerplexityResult perplexity(Model& model, std::span<const int32_t> tokens, const PerplexityOptions& options,
                            const std::function<void(const PerplexityResult&)>& on_chunk, const ProgressFn& progress) {
  PerplexityJob job(model, tokens, options, on_chunk, progress);
  model.logits(job);
  return job.finish();
}

}  // namespace phial
