// How long work reports where it is, and how it is stopped. The library never prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace phial {

struct Progress {
  std::string what;   // "quantize", "load"
  std::string item;   // the tensor or file at hand
  uint64_t done = 0;  // bytes, values or tokens, of total
  uint64_t total = 0;
  std::string note;  // a whole line to show once: about the item, or, without an item, a warning about the whole work
};

/// Returns false to stop; the work then throws CANCELLED. Called from one thread at a time.
using ProgressFn = std::function<bool(const Progress&)>;

}  // namespace phial
