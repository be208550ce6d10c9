// Terminal output and interrupts.
#include "terminal.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "flags.h"

namespace phial::cli {

std::atomic<bool> g_interrupted{false};
std::atomic<bool> g_terminated{false};

bool is_terminal(int fd) { return isatty(fd) == 1; }

namespace {
std::string g_colour_mode = "auto";
bool g_log_silent = false;
std::ofstream g_log_file;
}  // namespace

void set_colour_mode(const std::string& mode) { g_colour_mode = mode; }

const char* style(int fd, const char* sequence) {
  static const bool plain = [] {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return (no_color && *no_color) || !term || std::strcmp(term, "dumb") == 0;
  }();
  if (g_colour_mode != "auto") return g_colour_mode == "on" ? sequence : "";
  return !plain && is_terminal(fd) ? sequence : "";
}

void silence_log() { g_log_silent = true; }

void open_log_file(const std::string& path) {
  g_log_file.open(path, std::ios::app);
  if (!g_log_file) throw Usage("--log-file: cannot write " + path + ": " + std::strerror(errno));
}

void note(const std::string& text) {
  if (!g_log_silent) fmt::print(stderr, "{}note:{} {}\n", style(2, kYellow), style(2, kReset), text);
  if (g_log_file.is_open()) g_log_file << "note: " << text << std::endl;
}

void log_line(const std::string& text) {
  if (!g_log_silent) fmt::print(stderr, "{}{}{}\n", style(2, kDim), text, style(2, kReset));
  if (g_log_file.is_open()) g_log_file << text << std::endl;
}

double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string human_bytes(double bytes) {
  static const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) bytes /= 1024, ++unit;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.2f} {}", bytes, units[unit]);
}

void ProgressBar::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
  std::fflush(stderr);
}

ProgressFn ProgressBar::callback() {
  started_ = now_seconds();
  return [this](const Progress& p) {
    if (!p.note.empty() && (notes_ || p.item.empty())) {
      clear();
      fmt::print(stderr, "{}\n", p.note);
    }
    const double now = now_seconds();
    if (!quiet_ && is_terminal(2) && p.total > 0 && (now - last_ > 0.1 || p.done == p.total)) {
      last_ = now;
      winsize size{};
      const int columns = ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
      const double share = static_cast<double>(p.done) / static_cast<double>(p.total);
      const double left = share > 0.02 ? (now - started_) * (1 - share) / share : 0;
      const std::string head = fmt::format("{} {:3.0f}% ", p.what, share * 100);
      const std::string tail = fmt::format(" {:.0f} s left {}", left, p.item);
      const int width = std::max(0, std::min(30, columns - static_cast<int>(head.size()) - 28));
      const int full = static_cast<int>(share * width + 0.5);
      std::string line = head + "[" + std::string(full, '#') + std::string(width - full, ' ') + "]" + tail;
      line.resize(std::min<size_t>(line.size(), std::max(1, columns - 1)));
      fmt::print(stderr, "\r\033[K{}", line);
      std::fflush(stderr);
      drawn_ = true;
      if (p.done == p.total) clear();
    }
    return !g_interrupted.load();
  };
}

void watch_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    if (g_interrupted.exchange(true)) _exit(130);
  };
  sigaction(SIGINT, &action, nullptr);
}

void watch_termination() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    g_interrupted = true;
    g_terminated = true;
  };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

}  // namespace phial::cli
