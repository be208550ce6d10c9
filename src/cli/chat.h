// A conversation with a model: turns, streaming, commands.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat_prompt.h"
#include "phial/engine.h"

namespace phial::cli {

struct ChatOptions {
  SamplerParams sampling;
  std::string system, in_prefix, in_suffix;
  std::string template_source;                                          // "" = the model's own
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // more of them for the template
  std::vector<std::string> stops;
  int64_t n_predict = -1;
  bool single_turn = false, display_prompt = true, special = false, multiline = false, timings = true;
  bool verbose_prompt = false, simple_io = false;
};

class Chat {
 public:
  Chat(std::shared_ptr<Model> model, const ChatOptions& options);
  bool has_template() const { return template_.has_value(); }
  /// True when the text holds the text of a control token ("<|user|>").
  bool holds_special_tokens(const std::string& text) const;

  int complete(const std::string& prompt);  // no template
  int answer(const std::string& message);   // one turn
  int loop();                               // until /exit or end of input
  void print_timings() const;

 private:
  int stream(const std::vector<int32_t>& tokens, std::string* answer);
  bool command(const std::string& line);  // false = not one
  std::optional<std::string> read_message();
  void restart();

  std::shared_ptr<Model> model_;
  ChatOptions options_;
  std::unique_ptr<Session> session_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::optional<ChatTemplate> template_;
  std::vector<Message> messages_;
  Timings total_;
  bool done_ = false;
};

}  // namespace phial::cli
