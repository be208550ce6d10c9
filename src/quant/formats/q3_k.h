// Q3_K: 256 values in 16 sub-blocks of 16, value = d * (scale - 32) * (q - 4); 6-bit scales, 3-bit levels.
// Low two bits of a level lie as in Q2_K; its high bit is bit i/32 of hmask[i%32].
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];  // 16 low nibbles in the first 8 bytes, then 16 times 2 high bits
  uint16_t d;          // f16
};
static_assert(sizeof(BlockQ3_K) == 110);

template <>
struct BlockFormat<DType::q3_k> {
  using Block = BlockQ3_K;
  static constexpr BlockFamily kFamily = BlockFamily::super_scaled;
  static constexpr int kSub = 16, kLevels = 8, kOffset = 4, kMinScale = -32, kMaxScale = 31;

  static bool finite(const Block& b) { return f16_finite(b.d); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    for (int j = 0; j < 16; ++j) {
      const int low = b.scales[j % 8] >> (j < 8 ? 0 : 4) & 15, high = b.scales[8 + j % 4] >> (2 * (j / 4)) & 3;
      out.scale[j] = static_cast<int16_t>((low | high << 4) - 32);
    }
    for (int part = 0; part < 8; ++part)
      for (int i = 0; i < 32; ++i) {
        const int q = (b.qs[part / 4 * 32 + i] >> (2 * (part % 4)) & 3) | (b.hmask[i] >> part & 1) << 2;
        out.q[part * 32 + i] = static_cast<int8_t>(q - 4);
      }
  }
  static void pack(Block& b, uint16_t d, const int8_t* scale, const uint8_t* q) {
    b.d = d;
    for (int j = 0; j < 12; ++j) b.scales[j] = 0;
    for (int j = 0; j < 16; ++j) {
      const int s = scale[j] + 32;
      b.scales[j % 8] = static_cast<uint8_t>(b.scales[j % 8] | (s & 15) << (j < 8 ? 0 : 4));
      b.scales[8 + j % 4] = static_cast<uint8_t>(b.scales[8 + j % 4] | (s >> 4) << (2 * (j / 4)));
    }
    for (int i = 0; i < 32; ++i) {
      int mask = 0;
      for (int k = 0; k < 8; ++k) mask |= (q[k * 32 + i] >> 2) << k;
      b.hmask[i] = static_cast<uint8_t>(mask);
    }
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 32; ++i) {
        const uint8_t* p = q + half * 128 + i;
        b.qs[half * 32 + i] = static_cast<uint8_t>((p[0] & 3) | (p[32] & 3) << 2 | (p[64] & 3) << 4 | (p[96] & 3) << 6);
      }
  }
};

}  // namespace phial
