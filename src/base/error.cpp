// The table of error codes, and text made safe to show.
#include "phial/error.h"

#include <array>

#include "base/fail.h"

namespace phial {
namespace {

struct Kind {
  int http_status;
  int exit_code;
  const char* python_class;
};

constexpr Kind bad_file{400, 2, "ValueError"};
constexpr Kind invalid_argument{400, 2, "ValueError"};
constexpr Kind not_found{404, 2, "FileNotFoundError"};
constexpr Kind unsupported{501, 2, "NotImplementedError"};
constexpr Kind out_of_memory{507, 3, "MemoryError"};
constexpr Kind io{500, 4, "OSError"};
constexpr Kind device{503, 5, "RuntimeError"};
constexpr Kind cancelled{499, 130, "RuntimeError"};
constexpr Kind busy{429, 6, "RuntimeError"};
constexpr Kind internal{500, 1, "RuntimeError"};

constexpr std::array kTable{
#define X(name, text, kind) ErrorInfo{text, kind.http_status, kind.exit_code, kind.python_class},
#include "phial/errors.def"
#undef X
};

}  // namespace

const ErrorInfo& error_info(ErrorCode code) { return kTable[static_cast<size_t>(code)]; }

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t i = 0;
  for (; i < text.size() && i < max_bytes;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    size_t length = byte < 0x80                   ? 1
                    : byte >= 0xC2 && byte < 0xE0 ? 2
                    : byte >= 0xE0 && byte < 0xF0 ? 3
                    : byte >= 0xF0 && byte < 0xF5 ? 4
                                                  : 0;
    bool valid = length != 0 && i + length <= text.size();
    for (size_t k = 1; valid && k < length; ++k) valid = (static_cast<unsigned char>(text[i + k]) & 0xC0) == 0x80;
    if (valid && byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) valid = false;
    if (!valid || byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
      ++i;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  if (i < text.size()) out += "...";
  return out;
}

}  // namespace phial
