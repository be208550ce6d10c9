// Q5_K: as Q4_K with a fifth bit per level: bit i/32 of qh[i%32].
#pragma once

#include "quant/block_format.h"
#include "quant/nibbles.h"
#include "quant/scales_k4.h"

namespace phial {

struct BlockQ5_K {
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // scales_k4.h
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

template <>
struct BlockFormat<DType::q5_k> {
  using Block = BlockQ5_K;
  static constexpr BlockFamily kFamily = BlockFamily::super_min;
  static constexpr int kSub = 32, kLevels = 32, kMaxScale = 63;

  static bool finite(const Block& b) { return f16_finite(b.d) && f16_finite(b.dmin); }
  static void integers(const Block& b, IntegerBlock& out) {
    out.d = f16_to_f32(b.d);
    out.m = -f16_to_f32(b.dmin);
    unpack_scales_k4(b.scales, out.scale, out.min);
    for (int j = 0; j < 4; ++j) unpack_nibbles<32>(b.qs + j * 32, out.q + j * 64);
    for (int j = 0; j < 8; ++j)
      for (int i = 0; i < 32; ++i) out.q[j * 32 + i] = static_cast<int8_t>(out.q[j * 32 + i] | (b.qh[i] >> j & 1) << 4);
  }
  static void pack(Block& b, uint16_t d, uint16_t dmin, const uint8_t* scale, const uint8_t* min, const uint8_t* q) {
    b.d = d;
    b.dmin = dmin;
    pack_scales_k4(scale, min, b.scales);
    for (int j = 0; j < 4; ++j) pack_nibbles<32>(q + j * 64, b.qs + j * 32);
    for (int i = 0; i < 32; ++i) {
      int mask = 0;
      for (int j = 0; j < 8; ++j) mask |= (q[j * 32 + i] >> 4) << j;
      b.qh[i] = static_cast<uint8_t>(mask);
    }
  }
};

}  // namespace phial
