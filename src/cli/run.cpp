// phial run (llama-cli): a chat on a terminal, one answer in a pipe, or plain completion.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "chat.h"
#include "files.h"
#include "run_flags.h"
#include "phial/engine.h"
#include "phial/error.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial run -m phi.gguf                                   chat; /exit or Ctrl-D ends it\n"
    "  phial run -m phi.gguf -p \"Why is the sky blue?\" --temp 0\n"
    "  phial run -m phi.gguf -no-cnv -p \"Once upon a time\" -n 64\n"
    "  cat notes.txt | phial run -m phi.gguf -sys \"Summarize\"  one answer, on standard output\n"
    "  llama-cli --model phi.gguf --prompt \"<|user|>\\nHi<|end|>\\n<|assistant|>\\n\" --gpu-layers 10\n";

}  // namespace

int run_verb(Flags& flags) {
  RunOptions run;
  ChatOptions chat;
  std::string prompt, prompt_file, system_file, seed = "-1", colour = "auto";
  bool no_cnv = false, cnv = false, no_escape = false;
  flags.about("Chat with a model, or complete a prompt.", kExamples);
  add_run_flags(flags, run);
  flags.group("Prompt and answer");
  flags.text("--prompt,-p", prompt, "TEXT", "\"Why is the sky blue?\"",
             "First message, or the text to complete; \\n is read as a line break");
  flags.text("--file,-f", prompt_file, "FILE", "question.txt", "Read the prompt from a file");
  flags.text("--system-prompt,-sys", chat.system, "TEXT", "\"Answer in French\"", "System message");
  flags.text("--system-prompt-file,-sysf", system_file, "FILE", "role.txt", "Read the system message from a file");
  flags.toggle("--conversation,-cnv", cnv, "Prompt is a message even if it holds the template's own tokens");
  flags.toggle("--no-conversation,-no-cnv", no_cnv, "No chat: complete the prompt as it stands");
  flags.toggle("--single-turn,-st", chat.single_turn, "End after one answer");
  flags.integer("--predict,-n,--n-predict", chat.n_predict, -2, int64_t{1} << 31, "64",
                "Tokens of an answer at most; -1 = until it ends, -2 = until the context is full");
  flags.text("--chat-template-file", chat.template_file, "FILE", "chat.jinja", "A Jinja template instead of the model's own");
  flags.list("--reverse-prompt,-r", chat.stops, "TEXT", "User:", "End the answer where this text appears");
  flags.toggle("--no-display-prompt", chat.display_prompt, "Do not print the prompt before a completion", false);
  flags.toggle("--special,-sp", chat.special, "Print special tokens");
  flags.toggle("--no-escape", no_escape, "Leave backslashes in the prompt alone");
  flags.toggle("--escape,-e", no_escape, "Read \\n and the like (the default)", false);
  flags.toggle("--multiline-input,-mli", chat.multiline, "An empty line sends the message");
  flags.toggle("--no-perf,--no-show-timings", chat.timings, "No timings at the end", false);
  flags.accepted("-i,--interactive,-if,--interactive-first,--color,--show-timings,--display-prompt", false);
  flags.accepted("-co,--colors,--log-colors,--keep,--chat-template,--reasoning-format,-rea,--reasoning", true);
  add_sampler_flags(flags, chat.sampling, seed);
  std::string sampler_letters;
  flags.text("--sampler-seq,--sampling-seq", sampler_letters, "LETTERS", "kpmt",
             "Samplers in order, a letter each, as llama.cpp abbreviates them: edskypmxt");
  if (!flags.parse()) return 0;
  if (run.model.empty()) throw Usage("--model is missing: phial run -m FILE.gguf");
  if (cnv && no_cnv) throw Usage("-cnv and -no-cnv exclude each other");
  apply_seed(seed, chat.sampling);
  if (!sampler_letters.empty()) chat.sampling.samplers = samplers_from_letters(sampler_letters);
  bool has_prompt = flags.given("--prompt");
  if (has_prompt && !prompt_file.empty()) throw Usage("give --prompt or --file, not both");
  if (has_prompt && !no_escape) prompt = unescape(prompt);
  if (!prompt_file.empty()) {
    prompt = read_input(prompt_file);
    if (!prompt.empty() && prompt.back() == '\n') prompt.pop_back();
    has_prompt = true;
  }
  if (!system_file.empty())
    chat.system = read_input(system_file);
  else if (!no_escape)
    chat.system = unescape(chat.system);
  const bool interactive = is_terminal(0);
  if (!has_prompt && !interactive) {
    prompt = read_input("-");
    while (!prompt.empty() && prompt.back() == '\n') prompt.pop_back();
    has_prompt = true;
    if (prompt.empty()) throw Usage("the prompt is empty: give -p TEXT, -f FILE, or text on standard input");
  }

  watch_interrupt();
  ProgressBar bar(false);
  auto model = Model::load(run, bar.callback());
  bar.clear();
  for (const std::string& note : model->info().notes)
    fmt::print(stderr, "{}note:{} {}\n", style(2, kYellow), style(2, kReset), note);

  Chat talk(model, chat);
  // A prompt that is formatted already (it holds the template's own tokens) is completed as it stands.
  const bool raw = no_cnv || !talk.has_template() || (has_prompt && !cnv && talk.holds_special_tokens(prompt));
  int code = 0;
  if (raw) {
    if (!has_prompt)
      throw Usage(no_cnv ? "-no-cnv needs a prompt: -p TEXT or -f FILE"
                         : "this model has no chat template: give -p TEXT to complete, or --chat-template-file");
    code = talk.complete(prompt);
  } else {
    if (has_prompt) code = talk.answer(prompt);
    if (interactive && !chat.single_turn && code == 0 && (!has_prompt || is_terminal(1))) code = talk.loop();
  }
  talk.print_timings();
  return code;
}

}  // namespace phial::cli
