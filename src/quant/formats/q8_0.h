// Q8_0: 32 values, value = d * q, q signed.
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ8_0 {
  uint16_t d;  // f16
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

template <>
struct BlockFormat<DType::q8_0> {
  using Block = BlockQ8_0;
  static constexpr BlockFamily kFamily = BlockFamily::scaled;
  static constexpr int kSub = 32, kLevels = 256, kOffset = 128;

  static bool finite(const Block& b) { return f16_finite(b.d); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    for (int i = 0; i < 32; ++i) out.q[i] = b.qs[i];
  }
  static void pack(Block& b, uint16_t d, const uint8_t* q) {
    b.d = d;
    for (int i = 0; i < 32; ++i) b.qs[i] = static_cast<int8_t>(q[i] - 128);
  }
};

}  // namespace phial
