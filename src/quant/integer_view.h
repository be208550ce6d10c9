// A quantization block as integers: value k of a block is
//   d * (scale[k / sub] * q[k]) + m * min[k / sub]
// with integers q, scale, min and the block's f16 scales d, m widened to f32. Exact integer products and the float decode
// (codec.h) both start from it. Source of the layouts: the GGUF block formats, one file each in quant/formats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace phial {

inline constexpr int kMaxBlockValues = 256;
inline constexpr int kMaxSubBlocks = 16;

struct IntegerBlock {
  int8_t q[kMaxBlockValues];
  int16_t scale[kMaxSubBlocks];  // 1 for formats without integer scales
  int16_t min[kMaxSubBlocks];    // 0 for formats without a minimum, 1 for Q4_1 and Q5_1
  float d, m;                    // m = -dmin for K-quants, 0 without a minimum
};

/// Fixed facts of a format's integer view.
struct IntegerFormat {
  int block_values = 0;      // 32 or 256; 0 = the format has no integer view
  int sub_block_values = 0;  // 32 or 16
  int q_min = 0, q_max = 0;  // range of q
  bool has_min = false;
  void (*unpack)(const std::byte* block, IntegerBlock& out) = nullptr;
};

const IntegerFormat& integer_format(DType dtype);

}  // namespace phial
