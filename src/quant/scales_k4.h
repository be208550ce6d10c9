// The 12 bytes that hold eight 6-bit scales and eight 6-bit mins of Q4_K and Q5_K:
// bytes 0..3 scales 0..3, bytes 4..7 mins 0..3, bytes 8..11 the low nibbles of scale (low) and min (high) 4..7, whose
// two high bits lie above bits 0..5 of bytes 0..3 (scales) and 4..7 (mins).
#pragma once

#include <cstdint>

namespace phial {

inline void unpack_scales_k4(const uint8_t* in, int16_t* scale, int16_t* min) {
  for (int j = 0; j < 4; ++j) {
    scale[j] = in[j] & 63;
    min[j] = in[j + 4] & 63;
    scale[j + 4] = static_cast<int16_t>((in[j + 8] & 15) | in[j] >> 6 << 4);
    min[j + 4] = static_cast<int16_t>(in[j + 8] >> 4 | in[j + 4] >> 6 << 4);
  }
}

inline void pack_scales_k4(const uint8_t* scale, const uint8_t* min, uint8_t* out) {
  for (int j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(scale[j] | scale[j + 4] >> 4 << 6);
    out[j + 4] = static_cast<uint8_t>(min[j] | min[j + 4] >> 4 << 6);
    out[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
  }
}

}  // namespace phial
