// Q4_K: 256 values in 8 sub-blocks of 32, value = d * scale * q - dmin * min; 6-bit scales and mins, 4-bit levels.
// Of each 64 values the first 32 are low nibbles, the next 32 the high nibbles of the same 32 bytes.
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"
#include "quant/scales_k4.h"

namespace phial {

struct BlockQ4_K {
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // scales_k4.h
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

template <>
struct BlockFormat<DType::q4_k> {
  using Block = BlockQ4_K;
  static constexpr BlockFamily kFamily = BlockFamily::super_min;
  static constexpr int kSub = 32, kLevels = 16, kMaxScale = 63;

  static bool finite(const Block& b) { return f16_finite(b.d) && f16_finite(b.dmin); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    out.m = -f16_to_f32(b.dmin);
    unpack_scales_k4(b.scales, out.scale, out.min);
    for (int j = 0; j < 4; ++j) unpack_nibbles<32>(b.qs + j * 32, out.q + j * 64);
  }
  static void pack(Block& b, uint16_t d, uint16_t dmin, const uint8_t* scale, const uint8_t* min, const uint8_t* q) {
    b.d = d;
    b.dmin = dmin;
    pack_scales_k4(scale, min, b.scales);
    for (int j = 0; j < 4; ++j) pack_nibbles<32>(q + j * 64, b.qs + j * 32);
  }
};

}  // namespace phial
