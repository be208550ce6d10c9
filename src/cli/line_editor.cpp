// libedit behind a small class. Characters come from our own reader, which takes a paste out of the stream before libedit
// could read its line breaks as the Enter key.
#include "line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <deque>
#include <iostream>

#include "terminal.h"

namespace phial::cli {
namespace {

constexpr wchar_t kLineBreak = L'\u23CE', kTab = L'\u21E5', kUnknown = L'\uFFFD';  // how they are shown in the line
constexpr const char* kPasteBegin = "\033[200~";
constexpr const char* kPasteEnd = "\033[201~";

/// Characters of UTF-8 text; bytes that are none become U+FFFD.
std::deque<wchar_t> characters(const std::string& text) {
  std::deque<wchar_t> out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t n = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 0;
    wchar_t c = n == 1 ? lead : n == 0 ? kUnknown : static_cast<wchar_t>(lead & (0x7F >> n));
    size_t used = 1;
    for (; used < n && i + used < text.size() && (text[i + used] & 0xC0) == 0x80; ++used) c = c << 6 | (text[i + used] & 0x3F);
    out.push_back(n > 1 && used < n ? kUnknown : c);
    i += used;
  }
  return out;
}

/// Text as it can stand in a line.
std::deque<wchar_t> in_one_line(const std::string& text) {
  std::deque<wchar_t> out;
  wchar_t before = 0;
  for (const wchar_t c : characters(text)) {
    if (c == L'\n' && before == L'\r') {
      // the line break was written already
    } else if (c == L'\n' || c == L'\r') {
      out.push_back(kLineBreak);
    } else if (c == L'\t') {
      out.push_back(kTab);
    } else if (c >= 0x20 && c != 0x7F) {
      out.push_back(c);  // other controls would be read as keys
    }
    before = c;
  }
  return out;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

const std::string kShownBreak = "\xE2\x8F\x8E", kShownTab = "\xE2\x87\xA5";  // kLineBreak and kTab

/// Escape sequences as libedit wants them in a prompt: between two of the marks.
std::string coloured_prompt(const std::string& prompt) {
  const std::string begin = style(1, "\033[1;32m"), end = style(1, "\033[22m");
  if (begin.empty()) return prompt;
  return "\1" + begin + "\1" + prompt + "\1" + end + "\1";  // what is typed stays green
}

}  // namespace

struct LineEditor::Impl {
  EditLine* edit = nullptr;
  History* history = nullptr;
  std::string prompt, history_file;
  bool plain = false;
  std::deque<wchar_t> waiting;  // characters that come before those of the terminal

  static const char* show_prompt(EditLine* edit) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt.c_str();
  }

  static int get_character(EditLine* edit, wchar_t* out) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    while (self->waiting.empty()) {
      std::string bytes;
      const int n = self->read_key(bytes);
      if (n <= 0) {
        *out = L'\0';
        return n;
      }
      if (bytes == kPasteBegin)
        self->waiting = in_one_line(self->read_paste());
      else
        self->waiting = characters(bytes);
    }
    *out = self->waiting.front();
    self->waiting.pop_front();
    return 1;
  }

  /// One byte; 0 = end of input, -1 = interrupted.
  int read_byte(char& c) {
    for (;;) {
      // A signal may come while characters are worked on, when no call is there to be interrupted: so waits are short.
      if (g_interrupted || g_terminated) return -1;
      pollfd input{0, POLLIN, 0};
      const int ready = poll(&input, 1, 100);
      if (ready == 0) continue;
      if (ready > 0) {
        const ssize_t n = ::read(0, &c, 1);
        if (n >= 0) return static_cast<int>(n);
      }
      if (errno != EINTR) return -1;
      el_resize(edit);  // the window's size may have changed
    }
  }

  /// The bytes of a character, or of an escape sequence as far as it is that of a paste.
  int read_key(std::string& bytes) {
    char c;
    int n = read_byte(c);
    if (n <= 0) return n;
    bytes = c;
    const auto lead = static_cast<unsigned char>(c);
    if (c == '\033') {
      const std::string begin = kPasteBegin;
      while (bytes.size() < begin.size() && begin.compare(0, bytes.size(), bytes) == 0) {
        // A lone Escape is a key: what belongs to a sequence comes at once.
        pollfd input{0, POLLIN, 0};
        if (poll(&input, 1, 50) <= 0 || read_byte(c) <= 0) break;
        bytes += c;
      }
      return 1;
    }
    for (int left = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0; left > 0; --left) {
      n = read_byte(c);
      if (n <= 0) return n;
      bytes += c;
    }
    return 1;
  }

  std::string read_paste() {
    const std::string end = kPasteEnd;
    std::string text;
    char c;
    while (read_byte(c) == 1) {
      text += c;
      if (text.ends_with(end)) {
        text.resize(text.size() - end.size());
        break;
      }
    }
    return text;
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
  el_set(impl_->edit, EL_PROMPT_ESC, &Impl::show_prompt, '\1');
  el_set(impl_->edit, EL_EDITOR, "emacs");
  el_set(impl_->edit, EL_SIGNAL, 0);
  el_set(impl_->edit, EL_GETCFN, &Impl::get_character);
  el_set(impl_->edit, EL_HIST, ::history, impl_->history);
}

LineEditor::~LineEditor() {
  if (impl_->history) history_end(impl_->history);
  if (impl_->edit) el_end(impl_->edit);
  delete impl_;
}

LineEditor::Result LineEditor::read(const std::string& prompt, std::string& line, const std::string& prefill) {
  g_interrupted = false;
  if (impl_->plain) {
    std::fputs(prompt.c_str(), stdout);
    std::fflush(stdout);
    const bool read = static_cast<bool>(std::getline(std::cin, line));
    return g_interrupted.exchange(false) ? Result::interrupted : read ? Result::line : Result::end;
  }
  impl_->prompt = coloured_prompt(prompt);
  impl_->waiting = in_one_line(prefill);
  const bool pastes = *style(1, "\033[?2004h") != '\0';
  if (pastes) std::fputs("\033[?2004h", stdout);
  std::fflush(stdout);
  int n = 0;
  const char* text = el_gets(impl_->edit, &n);
  if (pastes) std::fputs("\033[?2004l\033[0m", stdout);
  std::fflush(stdout);
  if (g_terminated) return Result::end;
  if (g_interrupted.exchange(false)) {
    el_reset(impl_->edit);
    std::fputs("\n", stdout);
    return Result::interrupted;
  }
  if (!text || n <= 0) return Result::end;
  line.assign(text, n);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  replace_all(line, kShownBreak, "\n");
  replace_all(line, kShownTab, "\t");
  return Result::line;
}

void LineEditor::remember(const std::string& message) {
  if (!impl_->history) return;
  HistEvent event;
  std::string line = message;
  replace_all(line, "\n", kShownBreak);
  replace_all(line, "\t", kShownTab);
  history(impl_->history, &event, H_ENTER, line.c_str());
  if (!impl_->history_file.empty()) history(impl_->history, &event, H_SAVE, impl_->history_file.c_str());
}

}  // namespace phial::cli
