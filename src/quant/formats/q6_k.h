// Q6_K: 256 values in 16 sub-blocks of 16, value = d * scale * (q - 32); signed 8-bit scales, 6-bit levels.
// For value i of a half of 128, part = i/32: low nibble in ql[32*(part%2) + i%32], shifted by 4*(part/2); high two bits in
// qh[i%32], shifted by 2*part.
#pragma once

#include "quant/block_format.h"

namespace phial {

struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;  // f16
};
static_assert(sizeof(BlockQ6_K) == 210);

template <>
struct BlockFormat<DType::q6_k> {
  using Block = BlockQ6_K;
  static constexpr BlockFamily kFamily = BlockFamily::super_scaled;
  static constexpr int kSub = 16, kLevels = 64, kOffset = 32, kMinScale = -128, kMaxScale = 127;

  static bool finite(const Block& b) { return f16_finite(b.d); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    for (int j = 0; j < 16; ++j) out.scale[j] = b.scales[j];
    for (int half = 0; half < 2; ++half)
      for (int part = 0; part < 4; ++part)
        for (int i = 0; i < 32; ++i) {
          const int low = b.ql[half * 64 + part % 2 * 32 + i] >> (part / 2 * 4) & 15,
                    high = b.qh[half * 32 + i] >> (2 * part) & 3;
          out.q[half * 128 + part * 32 + i] = static_cast<int8_t>((low | high << 4) - 32);
        }
  }
  static void pack(Block& b, uint16_t d, const int8_t* scale, const uint8_t* q) {
    b.d = d;
    for (int j = 0; j < 16; ++j) b.scales[j] = scale[j];
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 32; ++i) {
        const uint8_t* p = q + half * 128 + i;
        b.ql[half * 64 + i] = static_cast<uint8_t>((p[0] & 15) | (p[64] & 15) << 4);
        b.ql[half * 64 + 32 + i] = static_cast<uint8_t>((p[32] & 15) | (p[96] & 15) << 4);
        b.qh[half * 32 + i] = static_cast<uint8_t>(p[0] >> 4 | p[32] >> 4 << 2 | p[64] >> 4 << 4 | p[96] >> 4 << 6);
      }
  }
};

}  // namespace phial
