// The one exception type of Phial, its codes, and the table that maps a code to the outside world.
// Text = what, where (file, tensor, offset; or operation and shapes), and the next step.
#pragma once

#include <stdexcept>
#include <string>

namespace phial {

enum class ErrorCode {
#define X(name, text, kind) name,
#include "phial/errors.def"
#undef X
};

/// How a code looks from outside.
struct ErrorInfo {
  const char* text;          // stable name, e.g. "TRUNC"
  int http_status;           // for the server
  int exit_code;             // for the command line
  const char* python_class;  // for the bindings
};

const ErrorInfo& error_info(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ErrorCode code() const { return code_; }
  const char* code_text() const { return error_info(code_).text; }

 private:
  ErrorCode code_;
};

}  // namespace phial
