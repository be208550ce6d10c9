// Q5_1: 32 values, value = d * q + m. Nibbles as in Q4_1; bit i of the 32 high bits belongs to value i.
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"

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
    unpack_nibbles<16>(b.qs, out.q);
    add_fifth_bits(b.qh, out.q);
  }
  static void pack(Block& b, uint16_t d, uint16_t m, const uint8_t* q) {
    b.d = d;
    b.m = m;
    pack_fifth_bits(q, b.qh);
    pack_nibbles<16>(q, b.qs);
  }
};

}  // namespace phial
