// phial perplexity (llama-perplexity): perplexity, KL divergence, and questions with choices.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "files.h"
#include "phial/error.h"
#include "phial/evaluate.h"
#include "run_flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial perplexity -m phi_q4_k_m.gguf -f wiki.test.raw\n"
    "  phial perplexity -m phi_f16.gguf -f wiki.test.raw --chunks 32 --kl-divergence-base base.kld\n"
    "  phial perplexity -m phi_q4_k_m.gguf --kl-divergence-base base.kld --kl-divergence\n"
    "  phial perplexity -m phi_q4_k_m.gguf -f hellaswag_val_full.txt --hellaswag --hellaswag-tasks 400\n";

struct Asked {
  RunOptions run;
  std::string file, binary_file, prompt, base_file;
  bool escape = false, json = false;
  bool kl_divergence = false, hellaswag = false, winogrande = false, multiple_choice = false;
  int64_t n_chunks = -1, stride = 0, output_type = 0;
  int64_t hellaswag_tasks = 400, winogrande_tasks = 0, multiple_choice_tasks = 0;

  bool has_tasks() const { return hellaswag || winogrande || multiple_choice; }
};

/// Where results go: pieces as they come when nobody sees a bar, or one JSON line at the end.
class Output {
 public:
  Output(const Asked& a, const ModelInfo& info)
      : json_(a.json), pieces_(!a.json && !(is_terminal(1) && is_terminal(2))), bar_(false) {
    line_ = {{"model", a.run.model}, {"model_type", info.file_type}, {"n_ctx", info.n_context}};
  }

  bool wants_pieces() const { return pieces_; }
  bool is_json() const { return json_; }
  ProgressFn progress() { return bar_.callback(); }
  /// A piece of a list that grows while the work goes on.
  void piece(const std::string& text) {
    if (!pieces_) return;
    fmt::print("{}", text);
    std::fflush(stdout);
  }
  /// A line of the final result.
  void line(const std::string& text) {
    if (json_) return;
    bar_.clear();
    fmt::print("{}\n", text);
  }
  void note(const std::string& text) {
    bar_.clear();
    fmt::print(stderr, "{}\n", text);
  }
  void set(const std::string& key, const nlohmann::ordered_json& value) { line_[key] = value; }
  void set(const std::string& key, const Estimate& e) {
    line_[key] = e.value;
    line_[key + "_error"] = e.error;
  }
  void finish(double seconds, int64_t n_tokens) {
    bar_.clear();
    set("seconds", seconds);
    if (json_)
      fmt::print("{}\n", line_.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    else
      note(fmt::format("{} tokens, {:.1f} s, {:.1f} tokens/s", n_tokens, seconds, static_cast<double>(n_tokens) / seconds));
  }

 private:
  bool json_, pieces_;
  ProgressBar bar_;
  nlohmann::ordered_json line_;
};

void run_perplexity(Model& model, const Asked& a, const std::string& text, Output& out) {
  const std::vector<int32_t> tokens = model.tokenizer()->encode(text, true, false);
  PerplexityOptions o;
  o.n_context = a.run.n_context - a.stride / 2;
  o.n_chunks = a.n_chunks;
  o.stride = a.stride;
  o.base_file = a.base_file;
  const double begin = now_seconds();
  const int64_t step = a.stride > 0 ? a.stride : a.run.n_context;
  const auto r = perplexity(
      model, tokens, o,
      [&](const PerplexityResult& r) {
        if (r.n_done == 1) {
          const double per_chunk = now_seconds() - begin;
          out.note(fmt::format(
              "perplexity: {} chunks, n_ctx={}, batch_size={}, n_seq={}; {:.2f} seconds per chunk - ETA {:.2f} minutes",
              r.n_chunks, a.run.n_context, a.run.n_batch, a.run.n_sequences, per_chunk,
              per_chunk * static_cast<double>(r.n_chunks) / 60));
        }
        if (a.output_type == 0)
          out.piece(fmt::format("[{}]{:.4f},", r.n_done, r.ppl.value));
        else
          out.piece(fmt::format("{:8}  {:.4f}  {:.6f}  {:.6f}\n", (r.n_done - 1) * step, r.ppl.value, r.nll.value, r.nll.error));
      },
      out.progress());
  if (out.wants_pieces()) out.line("");
  out.line(fmt::format("Final estimate: PPL = {:.4f} +/- {:.5f}", r.ppl.value, r.ppl.error));
  out.set("ppl", r.ppl);
  out.set("nll", r.nll);
  out.set("n_tokens", r.n_tokens);
  out.set("n_chunks", r.n_chunks);
  out.set("n_scored", r.n_scored);
  if (a.stride > 0) out.set("stride", a.stride);
  out.finish(now_seconds() - begin, r.n_chunks * a.run.n_context);
}

std::string plus_minus(const Estimate& e, int width, int digits, double factor = 1) {
  return fmt::format("{:{}.{}f} \u00b1 {:{}.{}f}", factor * e.value, width, digits, factor * e.error, width, digits);
}

/// "99.9%", "Median ", "Maximum": as llama.cpp heads the line of a quantile.
std::string quantile_name(double share) {
  if (share == 0) return "Minimum";
  if (share == 1) return "Maximum";
  if (share == 0.5) return "Median ";
  return fmt::format("{:4.1f}%  ", 100 * share);
}

void print_divergence(const DivergenceResult& r, Output& out) {
  out.line("====== Perplexity statistics ======");
  out.line("Mean PPL(Q)                   : " + plus_minus(r.ppl, 10, 6));
  out.line("Mean PPL(base)                : " + plus_minus(r.base_ppl, 10, 6));
  out.line(fmt::format("Cor(ln(PPL(Q)), ln(PPL(base))): {:6.2f}%", 100 * r.correlation));
  out.line("Mean ln(PPL(Q)/PPL(base))     : " + plus_minus(r.ln_ratio, 10, 6));
  out.line("Mean PPL(Q)/PPL(base)         : " + plus_minus(r.ratio, 10, 6));
  out.line("Mean PPL(Q)-PPL(base)         : " + plus_minus(r.difference, 10, 6));
  out.line("\n====== KL divergence statistics ======");
  out.line("Mean    KLD: " + plus_minus(r.divergence, 10, 6));
  for (auto q = r.divergences.rbegin(); q != r.divergences.rend(); ++q)
    out.line(fmt::format("{} KLD: {:10.6f}", quantile_name(q->share), q->value));
  out.line("\n====== Token probability statistics ======");
  const auto percent = [](const Estimate& e) { return fmt::format("{:6.3f} \u00b1 {:5.3f} %", 100 * e.value, 100 * e.error); };
  out.line("Mean    \u0394p: " + percent(r.p_change));
  for (auto q = r.p_changes.rbegin(); q != r.p_changes.rend(); ++q)
    out.line(fmt::format("{} \u0394p: {:6.3f}%", quantile_name(q->share), 100 * q->value));
  out.line("RMS \u0394p    : " + percent(r.rms_p_change));
  out.line("Same top p: " + percent(r.same_top));
}

nlohmann::ordered_json quantiles(const std::vector<Quantile>& values) {
  nlohmann::ordered_json j;
  for (const Quantile& q : values)
    j[q.share == 0 ? "min" : q.share == 1 ? "max" : q.share == 0.5 ? "median" : fmt::format("{:g}%", 100 * q.share)] = q.value;
  return j;
}

void run_divergence(Model& model, const Asked& a, Output& out) {
  const double begin = now_seconds();
  const auto r = kl_divergence(
      model, a.base_file, a.n_chunks,
      [&](const DivergenceResult& r) {
        if (r.n_done == 1)
          out.piece(
              "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              \u0394p RMS          "
              "  "
              "Same top p\n");
        out.piece(fmt::format("{:4}    {}    {}    {}    {} %    {} %\n", r.n_done, plus_minus(r.ppl, 9, 4),
                              plus_minus(r.ln_ratio, 10, 5), plus_minus(r.divergence, 10, 5),
                              plus_minus(r.rms_p_change, 6, 3, 100), plus_minus(r.same_top, 6, 3, 100)));
      },
      out.progress());
  if (out.wants_pieces()) out.line("");
  print_divergence(r, out);
  out.set("ppl", r.ppl);
  out.set("base_ppl", r.base_ppl);
  out.set("correlation", r.correlation);
  out.set("ln_ratio", r.ln_ratio);
  out.set("ratio", r.ratio);
  out.set("difference", r.difference);
  out.set("kld", r.divergence);
  out.set("kld_quantiles", quantiles(r.divergences));
  out.set("p_change", r.p_change);
  out.set("p_change_quantiles", quantiles(r.p_changes));
  out.set("rms_p_change", r.rms_p_change);
  out.set("same_top", r.same_top);
  out.set("n_chunks", r.n_done);
  out.set("n_scored", r.n_scored);
  out.finish(now_seconds() - begin, r.n_done * model.info().n_context);
}

void run_tasks(Model& model, const Asked& a, const std::string& text, Output& out) {
  const Tokenizer& tokenizer = *model.tokenizer();
  const ChoiceTasks tasks = a.hellaswag    ? hellaswag_tasks(tokenizer, text, a.hellaswag_tasks)
                            : a.winogrande ? winogrande_tasks(tokenizer, text, a.winogrande_tasks)
                                           : multiple_choice_tasks(tokenizer, text, a.multiple_choice_tasks);
  for (const std::string& note : tasks.notes) out.note("note: " + note);
  out.note(fmt::format("{} of {} tasks", tasks.tasks.size(), tasks.n_in_file));
  int64_t n_tokens = 0;
  for (const ChoiceTask& t : tasks.tasks)
    for (const ChoiceTask::Choice& c : t.choices) n_tokens += c.end - 1;
  if (a.hellaswag) out.piece("\ntask\tacc_norm\t95% confidence interval\n");
  if (a.multiple_choice) out.piece("\ntask\tacc_norm\n");
  const double begin = now_seconds();
  const auto r = score_choices(
      model, tasks.tasks,
      [&](const ChoiceAnswer& answer, const ChoiceResult& r) {
        const double percent = 100 * r.accuracy.value;
        if (a.hellaswag) {
          out.piece(fmt::format("{}\t{:.8f}%\t[{:.4f}%, {:.4f}%]\n", r.n_tasks, percent, 100 * r.low, 100 * r.high));
        } else if (a.winogrande) {
          const auto& choices = tasks.tasks[static_cast<size_t>(r.n_tasks - 1)].choices;
          out.piece(fmt::format("{}\t{:.4f}\t{:10.6f}  {:10.6f}  {}  {}\n", r.n_tasks, percent, answer.scores[0],
                                answer.scores[1], answer.chosen + 1, choices[0].right ? 1 : 2));
        } else {
          out.piece(fmt::format("{}\t{:.8f}\n", r.n_tasks, percent));
        }
      },
      out.progress());
  if (out.wants_pieces()) out.line("");
  const double percent = 100 * r.accuracy.value, error = 100 * r.accuracy.error;
  if (a.hellaswag) {
    out.line(
        fmt::format("Final HellaSwag score({} tasks): {:.4f} [{:.4f}, {:.4f}]", r.n_tasks, percent, 100 * r.low, 100 * r.high));
  } else if (a.winogrande) {
    out.line(fmt::format("Final Winogrande score({} tasks): {:.4f} +/- {:.4f}", r.n_tasks, percent, error));
  } else {
    out.line(fmt::format("Final result: {:.4f} +/- {:.4f}", percent, error));
    out.line(fmt::format("Random chance: {:.4f} +/- {:.4f}", 100 * r.chance.value, 100 * r.chance.error));
  }
  out.set("test", a.hellaswag ? "hellaswag" : a.winogrande ? "winogrande" : "multiple-choice");
  out.set("n_tasks", r.n_tasks);
  out.set("n_right", r.n_right);
  out.set("accuracy", r.accuracy);
  out.set("accuracy_low", r.low);
  out.set("accuracy_high", r.high);
  out.set("chance", r.chance);
  out.finish(now_seconds() - begin, n_tokens);
}

void add_flags(Flags& f, Asked& a) {
  add_run_flags(f, a.run);
  f.group("Text and tasks");
  f.text("--file,-f", a.file, "FILE", "wiki.test.raw",
         "The text, or the tasks; - = standard input. One newline at its end is dropped");
  f.text("--binary-file,-bf", a.binary_file, "FILE", "mmlu-validation.bin", "The same, byte for byte (multiple choice)");
  f.text("--prompt,-p", a.prompt, "TEXT", "A text", "The text on the command line");
  f.toggle("--escape,-e", a.escape, "Read \\n, \\t ... in --prompt");
  f.toggle("--no-escape", a.escape, "Take --prompt as it is", false);
  f.group("Perplexity");
  f.integer("--chunks", a.n_chunks, -1, int64_t{1} << 40, "32", "At most so many chunks; -1 = all");
  f.integer("--ppl-stride", a.stride, 0, int64_t{1} << 30, "256",
            "Overlapping chunks that begin every N tokens; 0 = back to back");
  f.integer("--ppl-output-type", a.output_type, 0, 1, "1", "0: [chunk]PPL, ... 1: a line per chunk with the mean and its error");
  f.group("KL divergence");
  f.text("--kl-divergence-base,--save-all-logits", a.base_file, "FILE", "base.kld",
         "Write the log-probabilities here; with --kl-divergence read them");
  f.toggle("--kl-divergence", a.kl_divergence, "Compare with the log-probabilities in --kl-divergence-base");
  f.group("Task scores");
  f.toggle("--hellaswag", a.hellaswag, "HellaSwag score of the tasks in --file");
  f.integer("--hellaswag-tasks", a.hellaswag_tasks, 0, int64_t{1} << 40, "1000", "So many tasks, drawn at random; 0 = all");
  f.toggle("--winogrande", a.winogrande, "Winogrande score of the tasks in --file");
  f.integer("--winogrande-tasks", a.winogrande_tasks, 0, int64_t{1} << 40, "500", "So many tasks, drawn at random; 0 = all");
  f.toggle("--multiple-choice", a.multiple_choice, "Score of the questions in --binary-file");
  f.integer("--multiple-choice-tasks", a.multiple_choice_tasks, 0, int64_t{1} << 40, "500",
            "So many tasks, drawn at random; 0 = all");
  f.group("Output");
  f.toggle("--json", a.json, "Print one JSON line with the results, and nothing else");
  f.noted("-np,--parallel", true, "as many chunks run together as --batch-size holds");
  f.noted("-s,--seed", true, "tasks are always drawn in the same way, and nothing else is random");
  f.noted("-n,--predict,--n-predict,--keep", true, "nothing is generated");
  f.accepted("-kvu,--kv-unified", false);
}

void check(const Asked& a, const Flags& flags) {
  if (a.run.model.empty()) throw Usage("--model is missing: phial perplexity -m FILE.gguf -f TEXT");
  if (a.kl_divergence + a.hellaswag + a.winogrande + a.multiple_choice > 1)
    throw Usage("give one of --kl-divergence, --hellaswag, --winogrande and --multiple-choice");
  if (a.kl_divergence) {
    if (a.base_file.empty())
      throw Usage(
          "--kl-divergence compares with a file: --kl-divergence-base FILE, written by a run of the base model without it");
    if (a.stride > 0) throw Usage("--ppl-stride does not go with --kl-divergence: the base file fixes the chunks");
    return;
  }
  if (flags.given("--file") + flags.given("--binary-file") + flags.given("--prompt") != 1)
    throw Usage("give one of --file, --binary-file and --prompt");
  if (a.has_tasks() && (a.stride > 0 || !a.base_file.empty()))
    throw Usage("--ppl-stride and --kl-divergence-base are for perplexity, not for tasks");
  if (a.run.n_context == 0) throw Usage("--ctx-size 0: perplexity depends on the length of its chunks; give it, 512 is usual");
}

std::string text_of(const Asked& a) {
  if (!a.binary_file.empty()) return read_input(a.binary_file);
  if (a.file.empty()) return a.escape ? unescape(a.prompt) : a.prompt;
  std::string text = read_input(a.file);
  if (!a.multiple_choice && text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

int perplexity_verb(Flags& flags) {
  Asked a;
  a.run.n_context = 512;
  flags.about("Perplexity, KL divergence and task scores, as llama.cpp counts them.", kExamples);
  add_flags(flags, a);
  if (!flags.parse()) return 0;
  check(a, flags);
  const std::string text = a.kl_divergence ? "" : text_of(a);
  if (a.kl_divergence) {
    const int64_t n_context = base_file_info(a.base_file).n_context;
    if (flags.given("--ctx-size") && a.run.n_context != n_context)
      fmt::print(stderr, "note: chunks have {} tokens, as in {}; --ctx-size {} is not used\n", n_context, a.base_file,
                 a.run.n_context);
    a.run.n_context = n_context;
  }
  a.run.n_sequences = static_cast<int>(std::max<int64_t>(a.has_tasks() ? 4 : 1, a.run.n_batch / a.run.n_context));
  a.run.n_context += a.stride / 2;
  watch_interrupt();
  const auto model = load_model(a.run);
  Output out(a, model->info());
  if (a.kl_divergence)
    run_divergence(*model, a, out);
  else if (a.has_tasks())
    run_tasks(*model, a, text, out);
  else
    run_perplexity(*model, a, text, out);
  return 0;
}

}  // namespace phial::cli
