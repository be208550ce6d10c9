// Q4_0: 32 values, value = d * (q - 8). Low nibbles hold values 0..15, high nibbles 16..31.
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"

namespace phial {

struct BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

template <>
struct BlockFormat<DType::q4_0> {
  using Block = BlockQ4_0;
  static constexpr BlockFamily kFamily = BlockFamily::scaled;
  static constexpr int kSub = 32, kLevels = 16, kOffset = 8;

  static bool finite(const Block& b) { return f16_finite(b.d); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    unpack_nibbles<16>(b.qs, out.q);
    for (int i = 0; i < 32; ++i) out.q[i] = static_cast<int8_t>(out.q[i] - kOffset);
  }
  static void pack(Block& b, uint16_t d, const uint8_t* q) {
    b.d = d;
    pack_nibbles<16>(q, b.qs);
  }
};

}  // namespace phial
