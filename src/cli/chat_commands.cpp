// The commands of the chat: one row each.
#include <fmt/core.h>

#include "chat.h"
#include "conversation.h"
#include "files.h"
#include "flags.h"
#include "line_editor.h"
#include "phial/text_file.h"
#include "terminal.h"
#include "text_editor.h"

namespace phial::cli {

using nlohmann::ordered_json;

const std::vector<Chat::Command>& Chat::commands() {
  static const std::vector<Command> rows = {
      {"/help", "", "this text", &Chat::help},
      {"/clear", "", "forget the conversation; the system text stays", &Chat::clear},
      {"/regen", "", "answer the last message again", &Chat::regenerate},
      {"/edit", "", "change the last message and have it answered again (in $EDITOR if that is set)", &Chat::edit},
      {"/system", "TEXT", "set the system text and begin anew; without TEXT: show it", &Chat::set_system},
      {"/save", "FILE", "write the messages as JSON", &Chat::save},
      {"/load", "FILE", "go on with messages from JSON", &Chat::load},
      {"/stats", "", "speed and context so far", &Chat::stats},
      {"/exit", "", "leave (also Ctrl-D)", &Chat::leave},
  };
  return rows;
}

bool Chat::command(const std::string& line) {
  if (line.empty() || line[0] != '/' || line.find('\n') != std::string::npos) return false;
  const size_t space = line.find(' ');
  std::string name = line.substr(0, space);
  const size_t begin = line.find_first_not_of(' ', space);
  std::string rest = begin == std::string::npos ? "" : line.substr(begin);
  while (!rest.empty() && rest.back() == ' ') rest.pop_back();
  if (name == "/quit" || name == "/bye") name = "/exit";
  std::vector<std::string> names;
  for (const Command& c : commands()) {
    names.push_back(c.name);
    if (name != c.name) continue;
    if (*c.argument == '\0' && !rest.empty()) throw Usage(name + " takes nothing after it; /help lists the commands");
    (this->*c.run)(rest);
    return true;
  }
  const std::string guess = nearest(name, names);
  fmt::print("no command {}{}; /help lists them\n", name, guess.empty() ? "" : ", did you mean " + guess);
  return true;
}

void Chat::help(const std::string&) {
  for (const Command& c : commands()) fmt::print("  {:<14} {}\n", fmt::format("{} {}", c.name, c.argument), c.what);
  fmt::print(
      "  A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
      "  Pasted text is one message, with its line breaks. Up and Down bring earlier messages. Ctrl-C stops an answer.\n");
}

void Chat::clear(const std::string&) {
  restart();
  fmt::print("forgotten\n");
}

void Chat::leave(const std::string&) { done_ = true; }

void Chat::regenerate(const std::string&) {
  const int last = last_user_message(messages_);
  if (last < 0) {
    fmt::print("there is nothing to answer again\n");
    return;
  }
  const ordered_json before = messages_;
  messages_.erase(messages_.begin() + last + 1, messages_.end());
  // A fixed seed would give the same answer: each try has the next one.
  const uint32_t seed = options_.sampling.seed;
  if (seed != 0xFFFFFFFFu) options_.sampling.seed = seed + ++n_regenerated_;
  struct Restore {
    uint32_t& target;
    uint32_t value;
    ~Restore() { target = value; }
  } restore{options_.sampling.seed, seed};
  answer_messages(before);
}

void Chat::edit(const std::string&) {
  const int last = last_user_message(messages_);
  if (last < 0) {
    fmt::print("there is no message to edit\n");
    return;
  }
  const std::string old = message_text(messages_[static_cast<size_t>(last)]);
  std::string edited;
  if (has_text_editor()) {
    const auto result = edit_in_text_editor(old);
    if (result) edited = *result;
  } else if (editor().read("edit> ", edited, old) != LineEditor::Result::line) {
    edited.clear();
  }
  if (edited.empty()) {
    fmt::print("nothing changed\n");
    return;
  }
  editor().remember(edited);
  const ordered_json before = messages_;
  messages_.erase(messages_.begin() + last, messages_.end());
  messages_.push_back(message_of("user", edited));
  n_regenerated_ = 0;
  if (has_text_editor()) show_message(messages_.back());
  answer_messages(before);
}

void Chat::set_system(const std::string& text) {
  if (text.empty()) {
    fmt::print("{}\n", options_.system.empty() ? "there is no system text; /system TEXT sets one" : options_.system);
    return;
  }
  options_.system = text;
  restart();
  fmt::print("system text set; the conversation begins anew\n");
}

void Chat::save(const std::string& path) {
  if (path.empty()) throw Usage("/save wants the name of a file");
  write_text_file(path, json_text(messages_, 2) + "\n");
  fmt::print("{} messages written to {}\n", messages_.size(), path);
}

void Chat::load(const std::string& path) {
  if (path.empty()) throw Usage("/load wants the name of a file");
  messages_ = parse_messages(read_input(path), path);
  n_regenerated_ = 0;
  options_.system = !messages_.empty() && message_role(messages_[0]) == "system" ? message_text(messages_[0]) : "";
  fmt::print("{} messages from {}\n", messages_.size(), path);
  for (const ordered_json& message : messages_) show_message(message);
  if (!messages_.empty() && message_role(messages_.back()) == "user") fmt::print("/regen answers the last message\n");
}

void Chat::stats(const std::string&) {
  print_timings();
  fmt::print(stderr, "context: {} of {} tokens, {} messages\n", session_->tokens().size(), model_->info().n_context,
             messages_.size());
}

}  // namespace phial::cli
