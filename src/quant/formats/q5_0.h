// Q5_0: 32 values, value = d * (q - 16). Nibbles as in Q4_0; bit i of the 32 high bits belongs to value i.
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"

namespace phial {

struct BlockQ5_0 {
  uint16_t d;     // f16
  uint8_t qh[4];  // little-endian 32 bits
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

template <>
struct BlockFormat<DType::q5_0> {
  using Block = BlockQ5_0;
  static constexpr BlockFamily kFamily = BlockFamily::scaled;
  static constexpr int kSub = 32, kLevels = 32, kOffset = 16;

  static bool finite(const Block& b) { return f16_finite(b.d); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    unpack_nibbles<16>(b.qs, out.q);
    add_fifth_bits(b.qh, out.q);
    for (int i = 0; i < 32; ++i) out.q[i] = static_cast<int8_t>(out.q[i] - kOffset);
  }
  static void pack(Block& b, uint16_t d, const uint8_t* q) {
    b.d = d;
    pack_fifth_bits(q, b.qh);
    pack_nibbles<16>(q, b.qs);
  }
};

}  // namespace phial
