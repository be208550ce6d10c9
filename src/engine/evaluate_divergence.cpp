// How far the model's predictions are from those in a file of log-probabilities.
#include <algorithm>
#include <cmath>
#include <deque>

#include "base/fail.h"
#include "engine/log_prob_file.h"
#include "engine/log_softmax.h"
#include "engine/statistics.h"
#include "phial/evaluate.h"
#include "tokenizer/vocab.h"

namespace phial {
namespace {

constexpr double kDivergenceShares[] = {0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
constexpr double kChangeShares[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};

/// What one scored position tells.
struct Position {
  double nll = 0, base_nll = 0, divergence = 0, p_change = 0;
  bool same_top = false;
};

Position compare(const QuantizedRow& base, std::span<const float> logits, int32_t id) {
  const RowSummary summary = summarize(logits);
  Position p;
  p.nll = -summary.log_prob(logits[static_cast<size_t>(id)]);
  p.base_nll = -static_cast<double>(base.log_prob(static_cast<size_t>(id)));
  p.divergence = divergence(base, logits, summary);
  p.p_change = std::exp(-p.nll) - std::exp(-p.base_nll);
  p.same_top = index_of_max(logits) == index_of_max(base.levels);
  return p;
}

class Sums {
 public:
  void add(const Position& p) {
    nll_.add(p.nll);
    base_nll_.add(p.base_nll);
    products_ += p.nll * p.base_nll;
    divergence_.add(p.divergence);
    p_change_.add(p.p_change);
    p_change_squared_.add(p.p_change * p.p_change);
    n_same_top_ += p.same_top;
    divergences_.push_back(static_cast<float>(p.divergence));
    p_changes_.push_back(static_cast<float>(p.p_change));
  }

  void write(DivergenceResult& r) const {
    const Estimate nll = nll_.estimate(), base_nll = base_nll_.estimate();
    const auto n = static_cast<double>(nll_.n);
    const double covariance = nll_.n > 1 ? (products_ / n - nll.value * base_nll.value) / (n - 1) : 0;
    r.n_scored = nll_.n;
    r.ppl = exp_of(nll);
    r.base_ppl = exp_of(base_nll);
    r.correlation = nll.error > 0 && base_nll.error > 0 ? covariance / (nll.error * base_nll.error) : 0;
    r.ln_ratio = {nll.value - base_nll.value, of_difference(nll.error, base_nll.error, covariance)};
    r.ratio = exp_of(r.ln_ratio);
    r.difference = {r.ppl.value - r.base_ppl.value,
                    of_difference(r.ppl.error, r.base_ppl.error, r.ppl.value * r.base_ppl.value * covariance)};
    r.divergence = divergence_.estimate();
    r.p_change = p_change_.estimate();
    const Estimate square = p_change_squared_.estimate();
    const double rms = std::sqrt(square.value);
    r.rms_p_change = {rms, rms > 0 ? 0.5 / rms * square.error : 0};
    r.same_top = share_of(n_same_top_, nll_.n);
  }

  void write_quantiles(DivergenceResult& r) {
    std::sort(divergences_.begin(), divergences_.end());
    std::sort(p_changes_.begin(), p_changes_.end());
    for (double share : kDivergenceShares) r.divergences.push_back({share, quantile(divergences_, share)});
    for (double share : kChangeShares) r.p_changes.push_back({share, quantile(p_changes_, share)});
  }

 private:
  /// The error of a difference of two values that vary together.
  static double of_difference(double a, double b, double covariance) {
    return std::sqrt(std::max(0.0, a * a + b * b - 2 * covariance));
  }

  Moments nll_, base_nll_, divergence_, p_change_, p_change_squared_;
  double products_ = 0;
  int64_t n_same_top_ = 0;
  std::vector<float> divergences_, p_changes_;
};

class DivergenceJob final : public LogitsJob {
 public:
  DivergenceJob(Model& model, const std::string& base_file, int64_t n_chunks,
                const std::function<void(const DivergenceResult&)>& on_chunk, const ProgressFn& progress)
      : file_(base_file), on_chunk_(on_chunk), progress_(progress) {
    if (file_.info().vocab_size != model.info().vocab_size)
      fail(ErrorCode::vocab, "{} was written with a vocabulary of {} tokens, the model has {}: they are different models",
           printable(base_file), file_.info().vocab_size, model.info().vocab_size);
    adds_bos_ = model.tokenizer()->vocab().add_bos;
    bos_ = model.tokenizer()->bos();
    result_.n_chunks = n_chunks < 0 ? file_.info().n_chunks : std::min(n_chunks, file_.info().n_chunks);
    if (result_.n_chunks == 0) fail(ErrorCode::argument, "--chunks 0: nothing to do; -1 means all");
  }

  bool next(Text& text) override {
    if (n_given_ == result_.n_chunks) return false;
    const auto tokens = file_.tokens(n_given_);
    text.tokens.assign(tokens.begin(), tokens.end());
    if (adds_bos_ && bos_ >= 0) text.tokens[0] = bos_;
    text.begin = first_scored(n_context());
    text.end = n_context() - 1;
    Chunk c{LogProbRows(scored_of(n_context()), file_.info().vocab_size), {}};
    c.positions.resize(static_cast<size_t>(scored_of(n_context())));
    file_.read(n_given_, c.base);
    open_.push_back(std::move(c));
    ++n_given_;
    return true;
  }

  void row(int64_t text, int64_t position, std::span<const float> logits) override {
    Chunk& c = open_[static_cast<size_t>(text - result_.n_done)];
    const int64_t i = position - first_scored(n_context());
    c.positions[static_cast<size_t>(i)] = compare(c.base.row(i), logits, file_.tokens(text)[static_cast<size_t>(position) + 1]);
  }

  void done(int64_t text) override {
    for (const Position& p : open_.front().positions) {
      if (std::isnan(p.nll)) fail(ErrorCode::numerical, "logits of chunk {} are not finite: the model's file is damaged", text);
      sums_.add(p);
    }
    open_.pop_front();
    ++result_.n_done;
    sums_.write(result_);
    if (on_chunk_) on_chunk_(result_);
  }

  bool go_on(int64_t n_tokens) override {
    n_computed_ += n_tokens;
    if (!progress_) return true;
    const std::string item = result_.n_done > 0 ? fmt::format("KLD {:.5f}", result_.divergence.value) : "";
    return progress_({"divergence", item, static_cast<uint64_t>(n_computed_),
                      static_cast<uint64_t>(result_.n_chunks * (n_context() - 1)), ""});
  }

  DivergenceResult finish() {
    sums_.write_quantiles(result_);
    return result_;
  }

 private:
  struct Chunk {
    LogProbRows base;
    std::vector<Position> positions;
  };

  int64_t n_context() const { return file_.info().n_context; }

  LogProbFile file_;
  const std::function<void(const DivergenceResult&)>& on_chunk_;
  const ProgressFn& progress_;
  bool adds_bos_ = false;
  int32_t bos_ = -1;
  std::deque<Chunk> open_;  // given to the engine, not done
  int64_t n_given_ = 0, n_computed_ = 0;
  Sums sums_;
  DivergenceResult result_;
};

}  // namespace

DivergenceResult kl_divergence(Model& model, const std::string& base_file, int64_t n_chunks,
                               const std::function<void(const DivergenceResult&)>& on_chunk, const ProgressFn& progress) {
  DivergenceJob job(model, base_file, n_chunks, on_chunk, progress);
  model.logits(job);
  return job.finish();
}

}  // namespace phial
