// $VISUAL or $EDITOR on a temporary file, as mail programs and git do it.
#include "text_editor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "files.h"
#include "flags.h"
#include "terminal.h"

namespace phial::cli {
namespace {

std::string editor_command() {
  for (const char* name : {"VISUAL", "EDITOR"})
    if (const char* value = std::getenv(name); value && *value) return value;
  return "";
}

/// Removed when done.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) {
    const char* folder = std::getenv("TMPDIR");
    path = std::string(folder && *folder ? folder : "/tmp") + "/phial-message-XXXXXX.txt";
    const int fd = mkstemps(path.data(), 4);
    if (fd < 0) throw Usage("cannot make a temporary file " + path + ": " + std::strerror(errno));
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    if (!written) {
      unlink(path.c_str());
      throw Usage("cannot write " + path + ": " + std::strerror(errno));
    }
  }
  ~TemporaryFile() { unlink(path.c_str()); }
  std::string path;
};

}  // namespace

bool has_text_editor() { return !editor_command().empty(); }

std::optional<std::string> edit_in_text_editor(const std::string& text) {
  const TemporaryFile file(text);
  // The command may hold arguments, so a shell reads it; the path is an argument of its own.
  const std::string command = editor_command() + " \"$1\"";
  const pid_t child = fork();
  if (child < 0) throw Usage(std::string("cannot start the editor: ") + std::strerror(errno));
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), "sh", file.path.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  g_interrupted = false;  // a Ctrl-C was the editor's
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  std::string edited = read_input(file.path);
  while (!edited.empty() && edited.back() == '\n') edited.pop_back();
  return edited;
}

}  // namespace phial::cli
