// Scoring of questions: each choice is a text of its own, all of them run together.
#include <algorithm>
#include <cmath>
#include <deque>

#include "base/fail.h"
#include "engine/log_softmax.h"
#include "engine/statistics.h"
#include "phial/evaluate.h"

namespace phial {
namespace {

constexpr double kNormal95 = 1.95996398454;  // 97.5 % of a normal distribution lie below

/// Wilson's score interval of 95 %.
void wilson(ChoiceResult& r) {
  const double p = r.accuracy.value, n = static_cast<double>(r.n_tasks), z = kNormal95 * kNormal95 / n;
  const double middle = p + z / 2, half = kNormal95 * std::sqrt(p * (1 - p) / n + z / (4 * n));
  r.low = (middle - half) / (1 + z);
  r.high = (middle + half) / (1 + z);
}

class ChoiceJob final : public LogitsJob {
 public:
  ChoiceJob(std::span<const ChoiceTask> tasks, const std::function<void(const ChoiceAnswer&, const ChoiceResult&)>& on_answer,
            const ProgressFn& progress)
      : tasks_(tasks), on_answer_(on_answer), progress_(progress) {
    for (const ChoiceTask& task : tasks) {
      if (task.choices.empty()) fail(ErrorCode::argument, "a task without choices");
      for (const ChoiceTask::Choice& c : task.choices) {
        if (c.begin < 1 || c.begin >= c.end || std::cmp_greater(c.end, c.tokens.size()))
          fail(ErrorCode::argument, "tokens {} to {} are to be scored of a text of {}", c.begin, c.end, c.tokens.size());
        choices_.push_back(&c);
      }
    }
  }

  bool next(Text& text) override {
    if (std::cmp_equal(n_given_, choices_.size())) return false;
    const ChoiceTask::Choice& c = *choices_[static_cast<size_t>(n_given_++)];
    text.tokens = c.tokens;
    text.begin = c.begin - 1;
    text.end = c.end - 1;
    open_.emplace_back(static_cast<size_t>(c.end - c.begin));
    return true;
  }

  void row(int64_t text, int64_t position, std::span<const float> logits) override {
    const ChoiceTask::Choice& c = *choices_[static_cast<size_t>(text)];
    const int32_t id = c.tokens[static_cast<size_t>(position) + 1];
    open_[static_cast<size_t>(text - n_done_)][static_cast<size_t>(position + 1 - c.begin)] =
        summarize(logits).log_prob(logits[static_cast<size_t>(id)]);
  }

  void done(int64_t) override {
    double sum = 0;
    for (double v : open_.front()) sum += v;
    const double score = sum / static_cast<double>(open_.front().size());
    open_.pop_front();
    ++n_done_;
    if (std::isnan(score))
      fail(ErrorCode::numerical, "logits of task {} are not finite: the model's file is damaged", result_.n_tasks);
    answer_.scores.push_back(score);
    const ChoiceTask& task = tasks_[static_cast<size_t>(result_.n_tasks)];
    if (answer_.scores.size() == task.choices.size()) answer(task);
  }

  bool go_on(int64_t) override {
    if (!progress_) return true;
    const std::string item = result_.n_tasks > 0 ? fmt::format("{:.1f} % right", 100 * result_.accuracy.value) : "";
    return progress_({"tasks", item, static_cast<uint64_t>(n_done_), choices_.size(), ""});
  }

  const ChoiceResult& result() const { return result_; }

 private:
  void answer(const ChoiceTask& task) {
    answer_.chosen = std::max_element(answer_.scores.begin(), answer_.scores.end()) - answer_.scores.begin();
    answer_.right = task.choices[static_cast<size_t>(answer_.chosen)].right;
    ++result_.n_tasks;
    result_.n_right += answer_.right;
    result_.n_choices += std::ssize(task.choices);
    result_.accuracy = share_of(result_.n_right, result_.n_tasks);
    wilson(result_);
    const double guess = static_cast<double>(result_.n_tasks) / static_cast<double>(result_.n_choices);
    result_.chance = {guess, result_.n_tasks > 1 ? std::sqrt(guess * (1 - guess) / static_cast<double>(result_.n_tasks - 1)) : 0};
    if (on_answer_) on_answer_(answer_, result_);
    answer_ = {};
  }

  std::span<const ChoiceTask> tasks_;
  const std::function<void(const ChoiceAnswer&, const ChoiceResult&)>& on_answer_;
  const ProgressFn& progress_;
  std::vector<const ChoiceTask::Choice*> choices_;  // of all tasks
  std::deque<std::vector<double>> open_;            // ln p of each scored token, of the texts given and not done
  int64_t n_given_ = 0, n_done_ = 0;
  ChoiceAnswer answer_;  // of the task at hand
  ChoiceResult result_;
};

}  // namespace

ChoiceResult score_choices(Model& model, std::span<const ChoiceTask> tasks,
                           const std::function<void(const ChoiceAnswer&, const ChoiceResult&)>& on_answer,
                           const ProgressFn& progress) {
  ChoiceJob job(tasks, on_answer, progress);
  model.logits(job);
  return job.result();
}

}  // namespace phial
