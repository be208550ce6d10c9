// Encoding and decoding of tensor formats, one row at a time. The scalar decode of each format is its definition.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/half.h"
#include "tensor/dtype.h"

namespace phial {

struct Codec {
  /// n values (a multiple of the block) from bytes to f32. The bytes need no alignment.
  void (*decode)(const std::byte* in, float* out, int64_t n) = nullptr;
  /// n values to bytes. importance: n weights per column, or nullptr. Input must be finite. Null for I8..F64.
  /// The same bits on every instruction set.
  void (*encode)(const float* in, std::byte* out, int64_t n, const float* importance) = nullptr;
  /// First index of a block (for plain formats: of a value) whose scale is NaN or Inf, or -1.
  int64_t (*find_non_finite)(const std::byte* in, int64_t n) = nullptr;
};

const Codec& codec(DType dtype);

}  // namespace phial
