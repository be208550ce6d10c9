// Sizes that come from files or users: arithmetic that throws OVERFLOW instead of wrapping.
// Lint refuses raw * and + on such sizes; they live in this type until they are known to be small.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fail.h"

namespace phial {

class CheckedSize {
 public:
  constexpr CheckedSize() = default;
  constexpr explicit CheckedSize(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }

  friend CheckedSize operator+(CheckedSize a, CheckedSize b) {
    uint64_t r;
    if (__builtin_add_overflow(a.value_, b.value_, &r)) overflow("+", a, b);
    return CheckedSize(r);
  }
  friend CheckedSize operator*(CheckedSize a, CheckedSize b) {
    uint64_t r;
    if (__builtin_mul_overflow(a.value_, b.value_, &r)) overflow("*", a, b);
    return CheckedSize(r);
  }
  friend CheckedSize operator-(CheckedSize a, CheckedSize b) {
    if (b.value_ > a.value_) overflow("-", a, b);
    return CheckedSize(a.value_ - b.value_);
  }
  friend CheckedSize operator+(CheckedSize a, uint64_t b) { return a + CheckedSize(b); }
  friend CheckedSize operator*(CheckedSize a, uint64_t b) { return a * CheckedSize(b); }
  friend CheckedSize operator-(CheckedSize a, uint64_t b) { return a - CheckedSize(b); }
  friend constexpr auto operator<=>(CheckedSize a, CheckedSize b) = default;

  /// Next multiple of a power of two.
  CheckedSize aligned(uint64_t alignment) const { return CheckedSize((*this + (alignment - 1)).value_ & ~(alignment - 1)); }

 private:
  [[noreturn]] static void overflow(const char* op, CheckedSize a, CheckedSize b) {
    fail(ErrorCode::overflow, "size overflow: {} {} {} does not fit 64 bits; the file is damaged or hostile", a.value_, op,
         b.value_);
  }
  uint64_t value_ = 0;
};

}  // namespace phial
