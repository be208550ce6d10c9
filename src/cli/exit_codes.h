// What the exit status says: from the table of error codes in phial/errors.def.
#pragma once

#include <string>
#include <vector>

namespace phial::cli {

struct ExitCode {
  int code;
  std::string what;                 // "a file or a request cannot be used, or the command line is wrong"
  std::vector<std::string> errors;  // the error codes that end so: "TRUNC", "MAGIC", ...
};

/// In ascending order.
std::vector<ExitCode> exit_codes();

}  // namespace phial::cli
