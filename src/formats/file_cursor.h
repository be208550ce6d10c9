// A reader of little-endian fields, front to back, over a file of unknown honesty. Every step is checked against what the
// file still holds; it reads through a buffer, so a file that shrinks meanwhile gives TRUNC and not a signal.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/fail.h"
#include "base/file.h"

namespace phial {

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian");

class FileCursor {
 public:
  explicit FileCursor(const InputFile& file) : file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return file_.size() - position_; }
  /// "model.gguf, byte 24": where the next field is, or what was at a position.
  std::string where() const { return where(position_); }
  std::string where(uint64_t position) const;

  template <typename T>
  T number() {
    T value;
    read(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void read(std::span<std::byte> out);
  /// n bytes as text; the caller has compared n with its limits.
  std::string text(uint64_t n);

 private:
  const InputFile& file_;
  uint64_t position_ = 0;
  uint64_t buffer_begin_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace phial
