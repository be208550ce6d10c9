// Line input on a terminal: editing and history by libedit; Ctrl-C at the prompt is told apart from the end of input.
// Pasted text (bracketed paste) is one message, with its line breaks; in the line they are shown as a return arrow.
#pragma once

#include <string>

namespace phial::cli {

class LineEditor {
 public:
  /// plain: lines are read as they come, without editing and history.
  explicit LineEditor(const std::string& history_file, bool plain = false);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Result { line, end, interrupted };
  /// `prefill` stands in the line to be edited.
  Result read(const std::string& prompt, std::string& line, const std::string& prefill = "");
  /// Into the history, which is written at once.
  void remember(const std::string& message);

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace phial::cli
