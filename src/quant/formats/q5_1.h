// Q5_1: 32 values, value = d * q + m. Nibbles as in Q4_1; bit i of the 32 high bits belongs to value i.
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ5_1 {
  uint16_t d, m;  // f16
  uint8_t qh[4];  // little-endian 32 bits
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

template <>
struct BlockFormat<DType::q5_1> {
  using Block = BlockQ5_1;
  static constexpr BlockFamily kFamily = BlockFamily::scaled_min;
  static constexpr int kSub = 32, kLevels = 32;

  static bool finite(const Block& b) { return f16_finite(b.d) && f16_finite(b.m); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    out.m = f16_to_f32(b.m);
    for (int i = 0; i < 16; ++i) {
      out.q[i] = static_cast<int8_t>((b.qs[i] & 15) | (b.qh[i / 8] >> (i % 8) & 1) << 4);
      out.q[i + 16] = static_cast<int8_t>(b.qs[i] >> 4 | (b.qh[2 + i / 8] >> (i % 8) & 1) << 4);
    }
  }
  static void pack(Block& b, uint16_t d, uint16_t m, const uint8_t* q) {
    b.d = d;
    b.m = m;
    for (int i = 0; i < 4; ++i) b.qh[i] = 0;
    for (int i = 0; i < 32; ++i) b.qh[i / 8] = static_cast<uint8_t>(b.qh[i / 8] | (q[i] >> 4) << (i % 8));
    for (int i = 0; i < 16; ++i) b.qs[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
  }
};

}  // namespace phial
