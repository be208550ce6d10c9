// Line input on a terminal: editing and history by libedit; Ctrl-C at the prompt is told apart from the end of input.
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
  Result read(const std::string& prompt, std::string& line);
  void remember(const std::string& message);

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace phial::cli
