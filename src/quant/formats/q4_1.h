// Q4_1: 32 values, value = d * q + m. Low nibbles hold values 0..15, high nibbles 16..31.
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ4_1 {
  uint16_t d, m;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

template <>
struct BlockFormat<DType::q4_1> {
  using Block = BlockQ4_1;
  static constexpr BlockFamily kFamily = BlockFamily::scaled_min;
  static constexpr int kSub = 32, kLevels = 16;

  static bool finite(const Block& b) { return f16_finite(b.d) && f16_finite(b.m); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    out.m = f16_to_f32(b.m);
    for (int i = 0; i < 16; ++i) {
      out.q[i] = static_cast<int8_t>(b.qs[i] & 15);
      out.q[i + 16] = static_cast<int8_t>(b.qs[i] >> 4);
    }
  }
  static void pack(Block& b, uint16_t d, uint16_t m, const uint8_t* q) {
    b.d = d;
    b.m = m;
    for (int i = 0; i < 16; ++i) b.qs[i] = static_cast<uint8_t>(q[i] | q[i + 16] << 4);
  }
};

}  // namespace phial
