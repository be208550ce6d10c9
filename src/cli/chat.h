// A conversation with a model: turns, streaming, commands, its session file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "chat_prompt.h"
#include "phial/engine.h"

namespace phial::cli {

class LineEditor;

struct ChatOptions : AnswerOptions {
  std::string system, in_prefix, in_suffix;
  std::string template_source;                                          // "" = the model's own
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // more of them for the template
  std::string session_file;                                             // --session; "" = none
  bool single_turn = false, display_prompt = true, multiline = false, timings = true;
  bool verbose_prompt = false, simple_io = false;
};

class Chat {
 public:
  Chat(std::shared_ptr<Model> model, const ChatOptions& options);
  ~Chat();
  bool has_template() const { return template_.has_value(); }
  /// True when the text holds the text of a control token ("<|user|>").
  bool holds_special_tokens(const std::string& text) const;

  int complete(const std::string& prompt);  // no template
  int answer(const std::string& message);   // one turn
  int loop();                               // until /exit or end of input
  /// JSON lines (docs/tools/chat.md): the prompt, or what standard input brings line by line. raw: no template.
  int json_lines(const std::optional<std::string>& prompt, bool raw);
  void print_timings() const;
  /// Writes --session FILE, if there is one.
  void save_session();

 private:
  struct Command {
    const char* name;
    const char* argument;  // "FILE", "" = none
    const char* what;
    void (Chat::*run)(const std::string& argument);
  };
  static const std::vector<Command>& commands();

  Answer stream(const std::vector<int32_t>& tokens, const std::function<void(std::string_view)>& show);
  /// To standard output, with a line about an end that is not the model's own.
  int show_answer(const std::vector<int32_t>& tokens, std::string* text);
  /// What a person can do when the context is full.
  std::string way_out() const;
  void explain_end(const Answer& answer) const;
  /// Answers the messages as they are; on an error they come back as `before`.
  int answer_messages(const nlohmann::ordered_json& before);
  Answer answer_json(const std::string& line, bool raw, bool is_prompt);

  bool command(const std::string& line);  // false = not one
  void help(const std::string&);
  void clear(const std::string&);
  void regenerate(const std::string&);
  void edit(const std::string&);
  void set_system(const std::string& text);
  void save(const std::string& path);
  void load(const std::string& path);
  void stats(const std::string&);
  void leave(const std::string&);

  std::optional<std::string> read_message();
  LineEditor& editor();
  void restart();
  void load_session();
  void show_message(const nlohmann::ordered_json& message) const;

  std::shared_ptr<Model> model_;
  ChatOptions options_;
  std::unique_ptr<Session> session_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::optional<ChatTemplate> template_;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
  std::unique_ptr<LineEditor> editor_;
  Timings total_;
  uint32_t n_regenerated_ = 0;  // answers to the last message so far
  int64_t n_wanted_ = 0;        // tokens of the last text
  bool in_loop_ = false, done_ = false;
};

}  // namespace phial::cli
