// How good a model is: perplexity of a text, divergence from another model, questions with choices. The methods are llama.cpp's,
// so that numbers compare; docs/tools/perplexity.md has the formulas.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "phial/engine.h"

namespace phial {

struct Estimate {
  double value = 0;
  double error = 0;  // one standard deviation of the value
};

struct PerplexityOptions {
  int64_t n_context = 512;  // tokens of a chunk
  int64_t n_chunks = -1;    // at most so many; -1 = all
  int64_t stride = 0;  // > 0: chunks of n_context + stride / 2 tokens begin every `stride` tokens, the last `stride` are scored
  std::string base_file;  // the log-probabilities of all scored positions are written here; "" = nowhere
};

struct PerplexityResult {
  int64_t n_tokens = 0;  // of the text
  int64_t n_chunks = 0;  // of the run
  int64_t n_done = 0;    // chunks behind the estimate
  int64_t n_scored = 0;  // tokens behind the estimate
  Estimate nll;          // mean of -ln p
  Estimate ppl;          // exp of it
};

/// The perplexity of the tokens, which begin with BOS where the model wants one. on_chunk gets the estimate after each chunk.
/// The model's context must hold a chunk. Throws ARGUMENT (too few tokens), CONTEXT, NUMERICAL, CANCELLED.
PerplexityResult perplexity(Model& model, std::span<const int32_t> tokens, const PerplexityOptions& options,
                            const std::function<void(const PerplexityResult&)>& on_chunk = {}, const ProgressFn& progress = {});

/// What stands at the head of a file of log-probabilities.
struct BaseFileInfo {
  int64_t n_context = 0, vocab_size = 0, n_chunks = 0;
};
BaseFileInfo base_file_info(const std::string& path);

/// A value that a share of all values lies below.
struct Quantile {
  double share;
  double value;
};

struct DivergenceResult {
  int64_t n_chunks = 0, n_done = 0, n_scored = 0;
  Estimate ppl, base_ppl, ln_ratio;              // ln_ratio: mean of ln PPL(model) - ln PPL(base)
  Estimate ratio, difference;                    // of the two perplexities
  double correlation = 0;                        // of the two -ln p
  Estimate divergence;                           // mean KL(base || model)
  Estimate p_change, rms_p_change;               // p(token by the model) - p(token by the base)
  Estimate same_top;                             // share of positions where both have the same most likely token
  std::vector<Quantile> divergences, p_changes;  // ascending, from minimum to maximum; only in the final result
};

/// The model against the log-probabilities in a file that perplexity() or llama.cpp wrote. n_chunks -1 = all of the file.
/// Throws VOCAB when the file is of another vocabulary, and the codes of bad files.
DivergenceResult kl_divergence(Model& model, const std::string& base_file, int64_t n_chunks = -1,
                               const std::function<void(const DivergenceResult&)>& on_chunk = {},
                               const ProgressFn& progress = {});

/// A question whose answers are scored by the mean ln p of their own tokens.
struct ChoiceTask {
  struct Choice {
    std::vector<int32_t> tokens;
    int64_t begin = 0, end = 0;  // tokens[begin .. end) are scored
    bool right = false;
  };
  std::vector<Choice> choices;
};

struct ChoiceTasks {
  std::vector<ChoiceTask> tasks;
  int64_t n_in_file = 0;
  std::vector<std::string> notes;  // what was left out, and why
};

/// The files llama.cpp reads. n_tasks 0 = all; fewer are drawn at random, always the same ones, in llama.cpp's order.
/// HellaSwag: six lines per task (context, number of the right ending, four endings). Throws HEADER.
ChoiceTasks hellaswag_tasks(const Tokenizer& tokenizer, std::string_view text, int64_t n_tasks = 0);
/// Winogrande: CSV lines of index, sentence with a '_', two choices, 1 or 2. Bad lines are left out with a note.
ChoiceTasks winogrande_tasks(const Tokenizer& tokenizer, std::string_view text, int64_t n_tasks = 0);
/// Multiple choice: llama.cpp's binary file. Throws TRUNC, COUNT, OFFSET, HEADER.
ChoiceTasks multiple_choice_tasks(const Tokenizer& tokenizer, std::string_view bytes, int64_t n_tasks = 0);

struct ChoiceAnswer {
  std::vector<double> scores;  // mean ln p of each choice
  int64_t chosen = 0;          // the first of the best
  bool right = false;
};

struct ChoiceResult {
  int64_t n_tasks = 0, n_right = 0;
  int64_t n_choices = 0;     // of all tasks
  Estimate accuracy;         // share of right answers
  double low = 0, high = 0;  // Wilson's interval of 95 %
  Estimate chance;           // what guessing gives
};

/// on_answer gets each task's answer, in order, and the result so far.
ChoiceResult score_choices(Model& model, std::span<const ChoiceTask> tasks,
                           const std::function<void(const ChoiceAnswer&, const ChoiceResult&)>& on_answer = {},
                           const ProgressFn& progress = {});

}  // namespace phial
