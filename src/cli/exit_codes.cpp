// Exit statuses and the error codes behind them.
#include "exit_codes.h"

#include "phial/error.h"

namespace phial::cli {

std::vector<ExitCode> exit_codes() {
  std::vector<ExitCode> list = {
      {0, "done", {}},
      {1, "internal error", {}},
      {2, "the command line, a file or a text cannot be used", {}},
      {3, "out of memory", {}},
      {4, "reading or writing failed", {}},
      {5, "a device failed", {}},
      {6, "busy", {}},
      {130, "interrupted (Ctrl-C)", {}},
  };
  const auto add = [&](ErrorCode code) {
    for (ExitCode& e : list)
      if (e.code == error_info(code).exit_code) e.errors.push_back(error_info(code).text);
  };
#define X(name, text, kind) add(ErrorCode::name);
#include "phial/errors.def"
#undef X
  return list;
}

}  // namespace phial::cli
