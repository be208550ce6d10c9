// What the command line shows: colours only on a terminal, progress bars, Ctrl-C.
#pragma once

#include <atomic>
#include <string>

#include "phial/progress.h"

namespace phial::cli {

bool is_terminal(int fd);
/// The escape sequence where colours are wanted: on a terminal (NO_COLOR and dumb ones respected) or as colour_mode says, else
/// "".
const char* style(int fd, const char* sequence);
inline constexpr const char* kBold = "\033[1m";
inline constexpr const char* kDim = "\033[2m";
inline constexpr const char* kGreen = "\033[32m";
inline constexpr const char* kRed = "\033[31m";
inline constexpr const char* kYellow = "\033[33m";
inline constexpr const char* kReset = "\033[0m";

/// "auto", "on" or "off".
void set_colour_mode(const std::string& mode);

/// A line that a person should see once, on standard error and in the log file.
void note(const std::string& text);
/// A line about the run (timings), dimmed on standard error, and in the log file.
void log_line(const std::string& text);
/// --log-disable, --log-file: notes and log lines are not shown; they are written to a file too. Throws Usage.
void silence_log();
void open_log_file(const std::string& path);

/// Draws one bar on standard error, on a terminal only. Notes on the whole work are always printed, those of one item with
/// `notes`.
class ProgressBar {
 public:
  /// notes: lines about single tensors are printed too. quiet: only warnings on the whole work.
  explicit ProgressBar(bool notes, bool quiet = false) : notes_(notes && !quiet), quiet_(quiet) {}
  ~ProgressBar() { clear(); }
  ProgressFn callback();
  void clear();

 private:
  bool notes_, quiet_, drawn_ = false;
  double started_ = 0, last_ = 0;
};

double now_seconds();
std::string human_bytes(double bytes);

/// Ctrl-C asks work to stop; a second one within it ends the program at once.
extern std::atomic<bool> g_interrupted;
void watch_interrupt();

/// The terminal went away or the program was asked to end: work stops as with Ctrl-C, and what is to be kept can be written.
extern std::atomic<bool> g_terminated;
void watch_termination();

}  // namespace phial::cli
