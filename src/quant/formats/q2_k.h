// Q2_K: 256 values in 16 sub-blocks of 16, value = d * scale * q - dmin * min; 4-bit scales and mins, 2-bit levels.
// Level order: byte 32*(i/128) + i%32, bits 2*((i%128)/32).
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ2_K {
  uint8_t scales[16];  // low nibble: scale, high nibble: min
  uint8_t qs[64];
  uint16_t d, dmin;  // f16
};
static_assert(sizeof(BlockQ2_K) == 84);

template <>
struct BlockFormat<DType::q2_k> {
  using Block = BlockQ2_K;
  static constexpr BlockFamily kFamily = BlockFamily::super_min;
  static constexpr int kSub = 16, kLevels = 4, kMaxScale = 15;

  static bool finite(const Block& b) { return f16_finite(b.d) && f16_finite(b.dmin); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    out.m = -f16_to_f32(b.dmin);
    for (int j = 0; j < 16; ++j) {
      out.scale[j] = b.scales[j] & 15;
      out.min[j] = b.scales[j] >> 4;
    }
    for (int half = 0; half < 2; ++half)
      for (int part = 0; part < 4; ++part)
        for (int i = 0; i < 32; ++i)
          out.q[half * 128 + part * 32 + i] = static_cast<int8_t>(b.qs[half * 32 + i] >> (2 * part) & 3);
  }
  static void pack(Block& b, uint16_t d, uint16_t dmin, const uint8_t* scale, const uint8_t* min, const uint8_t* q) {
    b.d = d;
    b.dmin = dmin;
    for (int j = 0; j < 16; ++j) b.scales[j] = static_cast<uint8_t>(scale[j] | min[j] << 4);
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 32; ++i) {
        const uint8_t* p = q + half * 128 + i;
        b.qs[half * 32 + i] = static_cast<uint8_t>(p[0] | p[32] << 2 | p[64] << 4 | p[96] << 6);
      }
  }
};

}  // namespace phial
