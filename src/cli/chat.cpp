// Turns of a conversation, streamed, and the loop on a terminal.
#include "chat.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "conversation.h"
#include "flags.h"
#include "line_editor.h"
#include "phial/error.h"
#include "terminal.h"

namespace phial::cli {

using nlohmann::ordered_json;

namespace {

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

}  // namespace

Chat::Chat(std::shared_ptr<Model> model, const ChatOptions& options)
    : model_(std::move(model)), options_(options), session_(model_->open_session()), tokenizer_(model_->tokenizer()) {
  const std::string source = options_.template_source.empty() ? tokenizer_->chat_template() : options_.template_source;
  if (!source.empty()) template_.emplace(source);
  restart();
  if (!options_.session_file.empty()) load_session();
}

Chat::~Chat() = default;

void Chat::restart() {
  messages_ = ordered_json::array();
  n_regenerated_ = 0;
  if (!options_.system.empty()) messages_.push_back(message_of("system", options_.system));
}

void Chat::load_session() {
  const std::string& path = options_.session_file;
  if (access(path.c_str(), F_OK) != 0) {
    save_session();  // a place that cannot be written is said now, not after the talk
    return;
  }
  const std::string note = session_->load(path);
  ordered_json kept = parse_messages(note.empty() ? "[]" : note, "the messages in session " + path);
  if (kept.empty()) return;
  // A system text given now goes before the one that was kept.
  if (message_role(kept[0]) != "system") {
    if (!options_.system.empty()) kept.insert(kept.begin(), message_of("system", options_.system));
  } else if (options_.system.empty()) {
    options_.system = message_text(kept[0]);
  } else {
    kept[0]["content"] = options_.system;
  }
  messages_ = std::move(kept);
}

void Chat::save_session() {
  if (!options_.session_file.empty()) session_->save(options_.session_file, json_text(messages_, -1));
}

bool Chat::holds_special_tokens(const std::string& text) const { return tokenizer_->holds_control_token(text); }

Answer Chat::stream(const std::vector<int32_t>& tokens, const std::function<void(std::string_view)>& show) {
  if (options_.verbose_prompt)
    for (int32_t id : tokens) fmt::print(stderr, "{:6} -> '{}'\n", id, tokenizer_->piece(id, true));
  n_wanted_ = static_cast<int64_t>(tokens.size());
  Answer answer = stream_answer(*session_, *tokenizer_, options_, tokens, show);
  const Timings& t = session_->timings();
  total_.load_seconds = t.load_seconds;
  total_.n_prompt += t.n_prompt;
  total_.n_cached += t.n_cached;
  total_.n_generated += t.n_generated;
  total_.prompt_seconds += t.prompt_seconds;
  total_.generate_seconds += t.generate_seconds;
  return answer;
}

std::string Chat::way_out() const {
  const ModelInfo& info = model_->info();
  int64_t larger = 2 * info.n_context;
  while (larger <= n_wanted_) larger *= 2;
  larger = std::min(larger, info.n_context_train);
  const bool can_grow = larger > std::max(info.n_context, n_wanted_);
  const std::string start =
      can_grow ? fmt::format("start with --ctx-size {} (the model's own context is {})", larger, info.n_context_train)
               : fmt::format("the model's own context has no more than {} tokens", info.n_context_train);
  if (!in_loop_) return start;
  return "to go on, /clear begins anew (/save FILE keeps the conversation first)" +
         (can_grow ? ", or leave, " + start + " and /load FILE" : "; " + start);
}

void Chat::explain_end(const Answer& answer) const {
  const char* dim = style(2, kDim);
  const char* reset = style(2, kReset);
  if (answer.interrupted)
    fmt::print(stderr, "{}[stopped]{}\n", dim, reset);
  else if (answer.reason == StopReason::context_full)
    fmt::print(stderr, "{}[the context is full: {} of {} tokens, {} of them before this answer, which ends here; {}]{}\n", dim,
               session_->tokens().size(), model_->info().n_context, answer.n_before, way_out(), reset);
}

int Chat::show_answer(const std::vector<int32_t>& tokens, std::string* text) {
  const Answer answer = stream(tokens, [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  if (answer.text.empty() || answer.text.back() != '\n') std::fputs("\n", stdout);
  std::fflush(stdout);
  explain_end(answer);
  if (text) *text = answer.text;
  return answer.interrupted ? 130 : 0;
}

int Chat::complete(const std::string& prompt) {
  if (options_.display_prompt && is_terminal(1)) fmt::print("{}{}{}", style(1, kDim), prompt, style(1, kReset));
  return show_answer(tokenizer_->encode(prompt, true, true), nullptr);
}

int Chat::answer(const std::string& message) {
  const ordered_json before = messages_;
  messages_.push_back(message_of("user", options_.in_prefix + message + options_.in_suffix));
  n_regenerated_ = 0;
  return answer_messages(before);
}

int Chat::answer_messages(const ordered_json& before) {
  try {
    std::string text;
    const int code = show_answer(chat_tokens(*template_, *tokenizer_, messages_, options_.variables), &text);
    messages_.push_back(message_of("assistant", text));
    return code;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

LineEditor& Chat::editor() {
  if (!editor_) editor_ = std::make_unique<LineEditor>(history_path(), options_.simple_io);
  return *editor_;
}

std::optional<std::string> Chat::read_message() {
  std::string message, line;
  bool quoted = false;
  for (;;) {
    const auto result = editor().read(message.empty() && !quoted ? "> " : ". ", line);
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
    editor().remember(message);
    return message;
  }
}

void Chat::show_message(const ordered_json& message) const {
  const std::string role = message_role(message);
  const char* colour = role == "user" ? kGreen : role == "assistant" ? kBold : kYellow;
  fmt::print("{}{}:{} {}\n", style(1, colour), role, style(1, kReset), message_text(message));
}

int Chat::loop() {
  fmt::print(stderr, "{}{} on {}. /help lists the commands.{}\n", style(2, kDim), model_->info().name, model_->info().device,
             style(2, kReset));
  if (!options_.session_file.empty() && !session_->tokens().empty() && !messages_.empty()) {
    fmt::print("{}going on with {}: {} messages, {} of {} tokens{}\n", style(1, kDim), options_.session_file, messages_.size(),
               session_->tokens().size(), model_->info().n_context, style(1, kReset));
    for (size_t i = messages_.size() - std::min<size_t>(2, messages_.size()); i < messages_.size(); ++i)
      show_message(messages_[i]);
  }
  in_loop_ = true;
  while (!done_ && !g_terminated) {
    const auto message = read_message();
    if (!message) break;
    try {
      if (!command(*message)) answer(*message);
    } catch (const Usage& e) {
      fmt::print(stderr, "{}error:{} {}\n", style(2, kRed), style(2, kReset), e.what());
    } catch (const Error& e) {
      // A turn that fails (context full, numbers gone bad) does not end the conversation.
      fmt::print(stderr, "{}error[{}]:{} {}\n", style(2, kRed), e.code_text(), style(2, kReset), e.what());
      if (e.code() == ErrorCode::context_full) fmt::print(stderr, "the message was not taken; {}\n", way_out());
    }
  }
  return 0;
}

void Chat::print_timings() const {
  if (!options_.timings) return;
  const auto rate = [](int64_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0.0; };
  log_line(fmt::format(
      "load {:.2f} s | prompt {} tokens ({} from the cache), {:.1f} tokens/s | answer {} tokens, {:.1f} tokens/s",
      total_.load_seconds, total_.n_prompt + total_.n_cached, total_.n_cached, rate(total_.n_prompt, total_.prompt_seconds),
      total_.n_generated, rate(total_.n_generated, total_.generate_seconds)));
}

}  // namespace phial::cli
