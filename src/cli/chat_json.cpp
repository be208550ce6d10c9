// The chat for programs: a JSON value per line in, an event per line out (docs/tools/chat.md).
#include <fmt/core.h>

#include <iostream>

#include "chat.h"
#include "conversation.h"
#include "flags.h"
#include "phial/error.h"
#include "terminal.h"

namespace phial::cli {

using nlohmann::ordered_json;

namespace {

void emit(const ordered_json& event) {
  fmt::print("{}\n", json_text(event, -1));
  std::fflush(stdout);
}

}  // namespace

Answer Chat::answer_json(const std::string& line, bool raw, bool is_prompt) {
  const ordered_json before = messages_;
  std::vector<int32_t> tokens;
  const ordered_json value = is_prompt ? ordered_json(line) : parse_shallow_json(line, "line");
  if (raw) {
    if (!value.is_string()) throw Usage("without a template a line is a JSON string: the text to complete");
    tokens = tokenizer_->encode(value.get<std::string>(), true, true);
  } else if (value.is_string()) {
    messages_.push_back(message_of("user", options_.in_prefix + value.get<std::string>() + options_.in_suffix));
  } else if (value.is_object() && value.contains("messages")) {
    messages_ = checked_messages(value, "line");
  } else if (value.is_object()) {
    messages_.push_back(checked_messages(ordered_json::array({value}), "line")[0]);
  } else {
    throw Usage("a line is a JSON string, a message {\"role\": ..., \"content\": ...}, or {\"messages\": [...]}");
  }
  try {
    if (!raw) tokens = chat_tokens(*template_, *tokenizer_, messages_, options_.variables);
    const Answer answer = stream(tokens, [](std::string_view piece) { emit({{"type", "token"}, {"text", piece}}); });
    if (!raw) messages_.push_back(message_of("assistant", answer.text));
    return answer;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

int Chat::json_lines(const std::optional<std::string>& prompt, bool raw) {
  int code = 0;
  const auto turn = [&](const std::string& line) {
    const auto report = [&](const char* name, const std::string& text, int exit_code) {
      emit({{"type", "error"}, {"code", name}, {"message", text}});
      code = exit_code;
    };
    try {
      const Answer answer = answer_json(line, raw, prompt.has_value());
      const Timings& t = session_->timings();
      emit({{"type", "done"},
            {"reason", reason_text(answer)},
            {"text", answer.text},
            {"n_prompt", t.n_prompt},
            {"n_cached", t.n_cached},
            {"n_generated", t.n_generated},
            {"n_tokens", session_->tokens().size()},
            {"n_context", model_->info().n_context},
            {"prompt_seconds", t.prompt_seconds},
            {"first_token_seconds", t.first_token_seconds},
            {"generate_seconds", t.generate_seconds}});
      if (answer.interrupted) code = 130;
    } catch (const Usage& e) {
      report("ARGUMENT", e.what(), 2);
    } catch (const Error& e) {
      report(e.code_text(), e.what(), error_info(e.code()).exit_code);
    }
  };
  if (prompt) {
    turn(*prompt);
    return code;
  }
  for (std::string line; !g_terminated && std::getline(std::cin, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) turn(line);
  return code;
}

}  // namespace phial::cli
