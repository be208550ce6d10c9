// Turns of a conversation, streamed.
#include "chat.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cstdlib>

#include "flags.h"
#include "line_editor.h"
#include "phial/error.h"
#include "terminal.h"

namespace phial::cli {
namespace {

constexpr const char* kHelp =
    "  /help      this text            /regen   answer the last message again\n"
    "  /clear     forget everything    /stats   speed and context so far\n"
    "  /system T  set the system text  /exit    leave (also Ctrl-D)\n"
    "  A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
    "  Ctrl-C stops an answer.\n";

std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if (!state && !home) return "";
  const std::string base = state ? state : std::string(home) + "/.local/state";
  for (size_t slash = base.find('/', 1);; slash = base.find('/', slash + 1)) {
    mkdir(base.substr(0, slash).c_str(), 0700);
    if (slash == std::string::npos) break;
  }
  mkdir((base + "/phial").c_str(), 0700);
  return base + "/phial/history";
}

/// Bytes at the end of `text` that begin a character whose rest has not come yet.
size_t unfinished_tail(const std::string& text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xC0) == 0x80) continue;
    const size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return need > back ? back : 0;
  }
  return 0;
}

}  // namespace

Chat::Chat(std::shared_ptr<Model> model, const ChatOptions& options)
    : model_(std::move(model)), options_(options), session_(model_->open_session()), tokenizer_(model_->tokenizer()) {
  const std::string source = options_.template_source.empty() ? tokenizer_->chat_template() : options_.template_source;
  if (!source.empty()) template_.emplace(source);
  restart();
}

void Chat::restart() {
  messages_.clear();
  if (!options_.system.empty()) messages_.push_back({"system", options_.system});
}

bool Chat::holds_special_tokens(const std::string& text) const { return tokenizer_->holds_control_token(text); }

int Chat::stream(const std::vector<int32_t>& tokens, std::string* answer) {
  if (options_.verbose_prompt)
    for (int32_t id : tokens) fmt::print(stderr, "{:6} -> '{}'\n", id, tokenizer_->piece(id, true));
  g_interrupted = false;
  session_->set_tokens(tokens, [] { return g_interrupted.load(); });
  std::string text, pending;
  size_t shown = 0;
  bool stopped = false;
  const auto show = [&](bool all) {
    // Text that may be the begin of a stop string is held back.
    size_t until = text.size() - (all ? 0 : unfinished_tail(text));
    for (const std::string& stop : options_.stops) {
      if (const size_t at = text.find(stop, shown > stop.size() ? shown - stop.size() : 0);
          at != std::string::npos && !stop.empty()) {
        text.resize(at);
        until = at;
        stopped = true;
      } else if (!all) {
        for (size_t n = std::min(stop.size(), text.size()); n > 0; --n)
          if (text.compare(text.size() - n, n, stop, 0, n) == 0) {
            until = std::min(until, text.size() - n);
            break;
          }
      }
    }
    if (until > shown) {
      std::fwrite(text.data() + shown, 1, until - shown, stdout);
      std::fflush(stdout);
      shown = until;
    }
  };
  const StopReason reason = session_->generate(options_.sampling, options_.n_predict, [&](int32_t id) {
    // An answer after a special token begins a text of its own: its first piece has no space before it.
    const bool begins =
        text.empty() && !tokens.empty() && tokenizer_->holds_control_token(tokenizer_->piece(tokens.back(), true));
    if (!tokenizer_->is_end_of_generation(id) || options_.special)
      text += begins ? tokenizer_->decode({&id, 1}, options_.special) : tokenizer_->piece(id, options_.special);
    show(false);
    return !stopped && !g_interrupted.load();
  });
  show(true);
  if (text.empty() || text.back() != '\n') std::fputs("\n", stdout);
  std::fflush(stdout);
  const Timings& t = session_->timings();
  total_.load_seconds = t.load_seconds;
  total_.n_prompt += t.n_prompt;
  total_.n_cached += t.n_cached;
  total_.n_generated += t.n_generated;
  total_.prompt_seconds += t.prompt_seconds;
  total_.generate_seconds += t.generate_seconds;
  const char* dim = style(2, kDim);
  const char* reset = style(2, kReset);
  if (reason == StopReason::context_full)
    fmt::print(stderr, "{}[the context of {} tokens is full: /clear, or start with a larger -c]{}\n", dim,
               model_->info().n_context, reset);
  if (reason == StopReason::cancelled && g_interrupted) fmt::print(stderr, "{}[stopped]{}\n", dim, reset);
  const bool interrupted = g_interrupted.exchange(false);
  if (answer) *answer = text;
  return interrupted ? 130 : 0;
}

int Chat::complete(const std::string& prompt) {
  if (options_.display_prompt && is_terminal(1)) fmt::print("{}{}{}", style(1, kDim), prompt, style(1, kReset));
  return stream(tokenizer_->encode(prompt, true, true), nullptr);
}

int Chat::answer(const std::string& message) {
  messages_.push_back({"user", message});
  std::string text;
  const int code = stream(chat_tokens(*template_, *tokenizer_, messages_, options_.variables), &text);
  messages_.push_back({"assistant", text});
  return code;
}

bool Chat::command(const std::string& line) {
  if (line.empty() || line[0] != '/') return false;
  const size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (name == "/exit" || name == "/quit" || name == "/bye") {
    done_ = true;
  } else if (name == "/help") {
    fmt::print("{}", kHelp);
  } else if (name == "/clear") {
    restart();
    fmt::print("forgotten\n");
  } else if (name == "/system") {
    options_.system = rest;
    restart();
    fmt::print("system text set; the conversation begins anew\n");
  } else if (name == "/regen") {
    while (!messages_.empty() && messages_.back().role == "assistant") messages_.pop_back();
    if (messages_.empty() || messages_.back().role != "user") {
      fmt::print("there is nothing to answer again\n");
    } else {
      const std::string message = messages_.back().content;
      messages_.pop_back();
      answer(message);
    }
  } else if (name == "/stats") {
    print_timings();
    fmt::print(stderr, "context: {} of {} tokens\n", session_->tokens().size(), model_->info().n_context);
  } else {
    const std::string guess = nearest(name, {"/help", "/clear", "/system", "/regen", "/stats", "/exit"});
    fmt::print("no command {}{}; /help lists them\n", name, guess.empty() ? "" : ", did you mean " + guess);
  }
  return true;
}

std::optional<std::string> Chat::read_message() {
  static LineEditor editor(history_path(), options_.simple_io);
  std::string message, line;
  bool quoted = false;
  for (;;) {
    const auto result = editor.read(message.empty() && !quoted ? "> " : ". ", line);
    if (result == LineEditor::Result::end) return std::nullopt;
    if (result == LineEditor::Result::interrupted) {
      if (message.empty() && !quoted) fmt::print("(/exit or Ctrl-D leaves)\n");
      message.clear();
      quoted = false;
      continue;
    }
    if (!quoted && line.rfind("\"\"\"", 0) == 0) {
      quoted = true;
      line.erase(0, 3);
      if (line.empty()) continue;
    }
    const size_t close = quoted ? line.find("\"\"\"") : std::string::npos;
    bool more = quoted || (options_.multiline && !line.empty());
    if (close != std::string::npos) {
      line.resize(close);
      more = false;
    } else if (!quoted && !line.empty() && line.back() == '\\') {
      line.pop_back();
      more = true;
    }
    message += line;
    if (more) {
      message += '\n';
      continue;
    }
    while (!message.empty() && message.back() == '\n') message.pop_back();
    if (message.empty()) {
      quoted = false;
      continue;
    }
    editor.remember(message);
    return message;
  }
}

int Chat::loop() {
  fmt::print(stderr, "{}{} on {}. /help lists the commands.{}\n", style(2, kDim), model_->info().name, model_->info().device,
             style(2, kReset));
  while (!done_) {
    const auto message = read_message();
    if (!message) break;
    if (command(*message)) continue;
    try {
      answer(options_.in_prefix + *message + options_.in_suffix);
    } catch (const Error& e) {
      // A turn that fails (context full, numbers gone bad) does not end the conversation.
      fmt::print(stderr, "{}error[{}]:{} {}\n", style(2, kRed), e.code_text(), style(2, kReset), e.what());
      while (!messages_.empty() && messages_.back().role != "assistant" && messages_.back().role != "system")
        messages_.pop_back();
    }
  }
  return 0;
}

void Chat::print_timings() const {
  if (!options_.timings) return;
  const auto rate = [](int64_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0.0; };
  log_line(fmt::format(
      "load {:.2f} s | prompt {} tokens ({} from the cache), {:.1f} tokens/s | answer {} tokens, {:.1f} tokens/s",
      total_.load_seconds, total_.n_prompt, total_.n_cached, rate(total_.n_prompt - total_.n_cached, total_.prompt_seconds),
      total_.n_generated, rate(total_.n_generated, total_.generate_seconds)));
}

}  // namespace phial::cli
