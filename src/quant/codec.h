// Encoding and decoding of tensor formats, one row at a time. The scalar decode of each format is its definition.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace phial {

struct Codec {
  /// n values (a multiple of the block) from bytes to f32.
  void (*decode)(const std::byte* in, float* out, int64_t n) = nullptr;
  /// n values to bytes. importance: n weights per column, or nullptr. Input must be finite.
  void (*encode)(const float* in, std::byte* out, int64_t n, const float* importance) = nullptr;
  /// First index of a block whose scale is NaN or Inf, or -1.
  int64_t (*find_non_finite)(const std::byte* in, int64_t n) = nullptr;
};

const Codec& codec(DType dtype);

// f16 and bf16, round to nearest even.
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
inline float bf16_to_f32(uint16_t h) {
  uint32_t u = static_cast<uint32_t>(h) << 16;
  float f;
  __builtin_memcpy(&f, &u, 4);
  return f;
}
uint16_t f32_to_bf16(float f);

}  // namespace phial
