// libedit behind a small class.
#include "line_editor.h"

#include <histedit.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

#include "terminal.h"

namespace phial::cli {

struct LineEditor::Impl {
  EditLine* edit = nullptr;
  History* history = nullptr;
  std::string prompt, history_file;
  bool plain = false;

  static const char* show_prompt(EditLine* edit) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt.c_str();
  }
};

LineEditor::LineEditor(const std::string& history_file, bool plain) : impl_(new Impl) {
  impl_->plain = plain;
  if (plain) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
  impl_->history_file = history_file;
  impl_->edit = el_init("phial", stdin, stdout, stderr);
  impl_->history = history_init();
  HistEvent event;
  history(impl_->history, &event, H_SETSIZE, 1000);
  if (!history_file.empty()) history(impl_->history, &event, H_LOAD, history_file.c_str());
  el_set(impl_->edit, EL_CLIENTDATA, impl_);
  el_set(impl_->edit, EL_PROMPT, &Impl::show_prompt);
  el_set(impl_->edit, EL_EDITOR, "emacs");
  el_set(impl_->edit, EL_SIGNAL, 0);
  el_set(impl_->edit, EL_HIST, ::history, impl_->history);
}

LineEditor::~LineEditor() {
  HistEvent event;
  if (!impl_->plain && !impl_->history_file.empty()) history(impl_->history, &event, H_SAVE, impl_->history_file.c_str());
  if (impl_->history) history_end(impl_->history);
  if (impl_->edit) el_end(impl_->edit);
  delete impl_;
}

LineEditor::Result LineEditor::read(const std::string& prompt, std::string& line) {
  impl_->prompt = prompt;
  g_interrupted = false;
  if (impl_->plain) {
    std::fputs(prompt.c_str(), stdout);
    std::fflush(stdout);
    const bool read = static_cast<bool>(std::getline(std::cin, line));
    return g_interrupted.exchange(false) ? Result::interrupted : read ? Result::line : Result::end;
  }
  int n = 0;
  const char* text = el_gets(impl_->edit, &n);
  if (g_interrupted.exchange(false)) {
    el_reset(impl_->edit);
    std::fputs("\n", stdout);
    return Result::interrupted;
  }
  if (!text || n <= 0) return Result::end;
  line.assign(text, n);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return Result::line;
}

void LineEditor::remember(const std::string& message) {
  HistEvent event;
  if (impl_->history && message.find('\n') == std::string::npos) history(impl_->history, &event, H_ENTER, message.c_str());
}

}  // namespace phial::cli
