// f16 and bf16 <-> f32, round to nearest even, written without branches so that loops over them vectorise.
// Signalling NaNs become quiet, as the processors' own instructions do it. Kernels call these in target regions, where no
// template of the standard library may be instantiated.
#pragma once

#include <cstdint>

namespace phial {

inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t magnitude = h & 0x7FFF;
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = (magnitude << 13) | 0x7F800000u | (magnitude > 0x7C00 ? 0x400000u : 0u);
  const uint32_t subnormal = __builtin_bit_cast(uint32_t, static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t bits = magnitude >= 0x7C00 ? special : magnitude < 0x0400 ? subnormal : normal;
  return __builtin_bit_cast(float, sign | bits);
}

inline uint16_t f32_to_f16(float f) {
  const uint32_t u = __builtin_bit_cast(uint32_t, f);
  const uint32_t sign = (u >> 16) & 0x8000;
  const uint32_t magnitude = u & 0x7FFFFFFF;
  // Adding 0.5 puts the last bit of an f16 subnormal at the last bit of the f32: the addition rounds.
  const uint32_t subnormal = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3F000000u;
  const uint32_t normal = (magnitude + 0x0FFFu + ((magnitude >> 13) & 1) - (112u << 23)) >> 13;
  const uint32_t special = magnitude > 0x7F800000u ? 0x7E00u | ((magnitude >> 13) & 0x3FF) : 0x7C00u;
  const uint32_t bits = magnitude >= 0x477FF000u ? special : magnitude < 0x38800000u ? subnormal : normal;
  return static_cast<uint16_t>(sign | bits);
}

inline float bf16_to_f32(uint16_t h) { return __builtin_bit_cast(float, static_cast<uint32_t>(h) << 16); }

inline uint16_t f32_to_bf16(float f) {
  const uint32_t u = __builtin_bit_cast(uint32_t, f);
  const uint32_t rounded = (u + 0x7FFFu + ((u >> 16) & 1)) >> 16;
  const uint32_t quiet = (u >> 16) | 0x40u;
  return static_cast<uint16_t>((u & 0x7FFFFFFF) > 0x7F800000u ? quiet : rounded);
}

inline bool f16_finite(uint16_t h) { return (h & 0x7C00) != 0x7C00; }

}  // namespace phial
