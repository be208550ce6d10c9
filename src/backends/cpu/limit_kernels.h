// Entry points of the loops that measure what the machine can do at most (kernels/limits.inl.h).
#pragma once

#include <cstdint>

namespace phial::cpu {

inline constexpr int64_t kInt8PeakOps = 24 * 128, kF32PeakOps = 24 * 32, kBf16PeakOps = 24 * 64;  // per n

struct LimitKernels {
  int32_t (*int8_peak)(int64_t n);
  float (*f32_peak)(int64_t n);
  int32_t (*read)(const uint8_t* p, int64_t n_bytes);
};

inline constexpr int64_t kAmxPeakInt8Ops = 4 * 2 * 16 * 16 * 64, kAmxPeakHalfOps = kAmxPeakInt8Ops / 2;

/// Products of tiles; call only where they are.
int32_t amx_int8_peak(int64_t n);
float amx_bf16_peak(int64_t n);
float amx_f16_peak(int64_t n);
/// bf16 dot products (AVX-512 BF16); call only where the processor has them.
float bf16_peak(int64_t n);

}  // namespace phial::cpu
