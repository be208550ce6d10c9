// Q4_1: 32 values, value = d * q + m. Low nibbles hold values 0..15, high nibbles 16..31.
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"

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
    unpack_nibbles<16>(b.qs, out.q);
  }
  static void pack(Block& b, uint16_t d, uint16_t m, const uint8_t* q) {
    b.d = d;
    b.m = m;
    pack_nibbles<16>(q, b.qs);
  }
};

}  // namespace phial
