// The buffered, bounded reader of headers.
#include "formats/file_cursor.h"

#include <algorithm>

namespace phial {
namespace {

constexpr uint64_t kBuffer = 256 << 10;

}  // namespace

std::string FileCursor::where(uint64_t position) const {
  return fmt::format("{}, byte {}", printable(file_.path(), 1024), position);
}

void FileCursor::read(std::span<std::byte> out) {
  if (out.size() > remaining())
    fail(ErrorCode::trunc, "{}: {} more bytes are needed, but the file ends at {}; it is cut short", where(), out.size(),
         file_.size());
  if (out.empty()) return;
  if (out.size() >= kBuffer) {
    file_.read_at(position_, out);
  } else {
    if (position_ < buffer_begin_ || position_ + out.size() > buffer_begin_ + buffer_.size()) {
      buffer_.resize(static_cast<size_t>(std::min(kBuffer, remaining())));
      buffer_begin_ = position_;
      file_.read_at(buffer_begin_, buffer_);
    }
    std::memcpy(out.data(), buffer_.data() + (position_ - buffer_begin_), out.size());
  }
  position_ += out.size();
}

std::string FileCursor::text(uint64_t n) {
  std::string value(static_cast<size_t>(n), '\0');
  read(std::as_writable_bytes(std::span(value)));
  return value;
}

}  // namespace phial
