// Throwing errors with a formatted text, and the internal check.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

#include "phial/error.h"

namespace phial {

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

/// Text from a file or a user made safe for messages and terminals: controls and invalid UTF-8 as \xNN, cut at max_bytes.
std::string printable(std::string_view text, size_t max_bytes = 80);

}  // namespace phial

/// Throws internal when the condition is false; never aborts.
#define PHIAL_CHECK(condition)                                                                                                 \
  do {                                                                                                                         \
    if (!(condition)) ::phial::fail(::phial::ErrorCode::internal, "check failed: {} ({}:{})", #condition, __FILE__, __LINE__); \
  } while (false)
