// phial run (llama-cli): a chat on a terminal, one answer in a pipe, or plain completion.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "chat.h"
#include "files.h"
#include "named_templates.h"
#include "phial/engine.h"
#include "phial/error.h"
#include "run_flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial run -m phi.gguf                                   chat; /exit or Ctrl-D ends it\n"
    "  phial run -m phi.gguf -p \"Why is the sky blue?\" --temp 0\n"
    "  phial run -m phi.gguf -no-cnv -p \"Once upon a time\" -n 64\n"
    "  cat notes.txt | phial run -m phi.gguf -sys \"Summarize\"  one answer, on standard output\n"
    "  phial run -m phi.gguf --session talk.session            goes on with it the next time\n"
    "  printf '\"Hi\"\\n' | phial run -m phi.gguf --json         an event per line\n"
    "  llama-cli --model phi.gguf --prompt \"<|user|>\\nHi<|end|>\\n<|assistant|>\\n\" --gpu-layers 10\n";

void add_variables(nlohmann::ordered_json& variables, const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) throw Usage("--chat-template-kwargs wants a JSON object, not '" + text + "'");
  variables.update(json);
}

}  // namespace

int run_verb(Flags& flags) {
  RunOptions run;
  ChatOptions chat;
  std::string prompt, prompt_file, binary_file, system_file, template_text, template_file;
  bool no_cnv = false, cnv = false, no_escape = false, json = false;
  flags.about("Chat with a model, or complete a prompt.", kExamples);
  add_run_flags(flags, run);
  flags.group("Prompt and answer");
  flags.text("--prompt,-p", prompt, "TEXT", "\"Why is the sky blue?\"",
             "First message, or the text to complete; \\n is read as a line break");
  flags.text("--file,-f", prompt_file, "FILE", "question.txt", "Read the prompt from a file");
  flags.text("--binary-file,-bf", binary_file, "FILE", "prompt.bin", "Read the prompt from a file, its last line break too");
  flags.text("--system-prompt,-sys", chat.system, "TEXT", "\"Answer in French\"", "System message");
  flags.text("--system-prompt-file,-sysf", system_file, "FILE", "role.txt", "Read the system message from a file");
  flags.toggle("--conversation,-cnv", cnv, "Prompt is a message even if it holds the template's own tokens");
  flags.toggle("--no-conversation,-no-cnv", no_cnv, "No chat: complete the prompt as it stands");
  flags.toggle("--single-turn,-st", chat.single_turn, "End after one answer");
  flags.integer("--predict,-n,--n-predict", chat.n_predict, -2, int64_t{1} << 31, "64",
                "Tokens of an answer at most; -1 = until it ends, -2 = until the context is full");
  flags.text("--chat-template", template_text, "NAME", "phi4",
             "Instead of the model's own: " + template_names() + ", or the text of a Jinja template");
  flags.text("--chat-template-file", template_file, "FILE", "chat.jinja", "A Jinja template instead of the model's own");
  flags.action("--chat-template-kwargs", "JSON", "", "'{\"enable_thinking\":false}'", "More variables for the template",
               [&chat](const std::string& json) { add_variables(chat.variables, json); });
  flags.action("--reasoning,-rea", "on|off|auto", "auto", "off", "Tell the template to think or not (enable_thinking)",
               [&chat](const std::string& mode) {
                 if (mode != "on" && mode != "off" && mode != "auto") throw Usage("--reasoning: on, off or auto");
                 if (mode != "auto") chat.variables["enable_thinking"] = mode == "on";
               });
  flags.action("--reasoning-effort", "LEVEL", "", "low", "Tell the template how much to think (reasoning_effort)",
               [&chat](const std::string& level) { chat.variables["reasoning_effort"] = level; });
  flags.text("--in-prefix", chat.in_prefix, "TEXT", "\"Question: \"", "Put before each message of a chat");
  flags.text("--in-suffix", chat.in_suffix, "TEXT", "\" Answer briefly.\"", "Put after each message of a chat");
  flags.list("--reverse-prompt,-r", chat.stops, "TEXT", "User:", "End the answer where this text appears");
  flags.toggle("--no-display-prompt", chat.display_prompt, "Do not print the prompt before a completion", false);
  flags.toggle("--display-prompt", chat.display_prompt, "Print it (the default)");
  flags.toggle("--verbose-prompt", chat.verbose_prompt, "Print the tokens of the prompt on standard error");
  flags.toggle("--simple-io", chat.simple_io, "Read lines as they come, without line editing");
  flags.text("--session", chat.session_file, "FILE", "talk.session",
             "Keep the conversation and its KV cache in this file, and go on with it at the next start");
  flags.toggle("--json", json, "Lines of JSON for programs: messages on standard input, events on standard output");
  flags.toggle("--special,-sp", chat.special, "Print special tokens");
  flags.toggle("--no-escape", no_escape, "Leave backslashes in the prompt alone");
  flags.toggle("--escape,-e", no_escape, "Read \\n and the like (the default)", false);
  flags.toggle("--multiline-input,-mli", chat.multiline, "An empty line sends the message");
  flags.toggle("--no-perf,--no-show-timings", chat.timings, "No timings at the end", false);
  flags.toggle("--perf,--show-timings", chat.timings, "Timings at the end (the default)");
  add_sampler_flags(flags, chat.sampling);
  if (!flags.parse()) return 0;
  if (run.model.empty()) throw Usage("--model is missing: phial run -m FILE.gguf");
  if (cnv && no_cnv) throw Usage("-cnv and -no-cnv exclude each other");
  bool has_prompt = flags.given("--prompt");
  if (has_prompt + !prompt_file.empty() + !binary_file.empty() > 1) throw Usage("give one of --prompt, --file and --binary-file");
  if (!template_text.empty() && !template_file.empty()) throw Usage("give --chat-template or --chat-template-file, not both");
  if (!template_text.empty()) chat.template_source = named_template(template_text);
  if (!template_file.empty()) chat.template_source = read_input(template_file);
  if (has_prompt && !no_escape) prompt = unescape(prompt);
  if (!prompt_file.empty()) {
    prompt = read_input(prompt_file);
    if (!prompt.empty() && prompt.back() == '\n') prompt.pop_back();
  }
  if (!binary_file.empty()) prompt = read_input(binary_file);
  has_prompt = has_prompt || !prompt_file.empty() || !binary_file.empty();
  if (!system_file.empty())
    chat.system = read_input(system_file);
  else if (!no_escape)
    chat.system = unescape(chat.system);
  const bool interactive = is_terminal(0);
  if (!has_prompt && !interactive && !json) {
    prompt = read_input("-");
    while (!prompt.empty() && prompt.back() == '\n') prompt.pop_back();
    has_prompt = true;
    if (prompt.empty()) throw Usage("the prompt is empty: give -p TEXT, -f FILE, or text on standard input");
  }

  watch_interrupt();
  if (!chat.session_file.empty()) watch_termination();
  auto model = load_model(run);

  Chat talk(model, chat);
  // A prompt that is formatted already (it holds the template's own tokens) is completed as it stands.
  const bool raw = no_cnv || !talk.has_template() || (has_prompt && !cnv && talk.holds_special_tokens(prompt));
  int code = 0;
  if (json) {
    code = talk.json_lines(has_prompt ? std::optional(prompt) : std::nullopt, raw);
  } else if (raw) {
    if (!has_prompt)
      throw Usage(no_cnv ? "-no-cnv needs a prompt: -p TEXT or -f FILE"
                         : "this model has no chat template: give -p TEXT to complete, or --chat-template-file");
    code = talk.complete(prompt);
  } else {
    if (has_prompt) code = talk.answer(prompt);
    if (interactive && !chat.single_turn && code == 0 && (!has_prompt || is_terminal(1))) code = talk.loop();
  }
  talk.save_session();
  if (!json) talk.print_timings();
  return code;
}

}  // namespace phial::cli
