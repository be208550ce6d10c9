// The matrix product kernels of this instruction set: one line per weight format.

constexpr int act_group(DType dtype) {
  constexpr int groups[] = {
#define X(name, text, id, values, bytes, group) group,
#include "tensor/formats.def"
#undef X
  };
  return groups[static_cast<int>(dtype)];
}

/// Byte j of each lane to lane-wide integers out[j], for j in 0..3.
inline void unpack_scales(I32x16 v, int32_t* out) {
  const I32x16 byte = splat(0xFF);
  store(out, bits_and(v, byte));
  store(out + 16, bits_and(shift_right_bits<8>(v), byte));
  store(out + 32, bits_and(shift_right_bits<16>(v), byte));
  store(out + 48, shift_right_bits<24>(v));
}
/// Bytes 0 and 2 of each lane as words, then bytes 1 and 3.
inline void unpack_pairs(I32x16 v, int32_t* out) {
  const I32x16 even = splat(0x00FF00FF);
  store(out, bits_and(v, even));
  store(out + 16, bits_and(shift_right_bits<8>(v), even));
}

#include "backends/cpu/kernels/activations.inl.h"
#include "backends/cpu/kernels/linear_tiles.inl.h"
#include "backends/cpu/kernels/linear_packed.inl.h"
//
#include "backends/cpu/kernels/linear_float.inl.h"
#include "backends/cpu/kernels/linear_legacy.inl.h"
#include "backends/cpu/kernels/linear_q2_k.inl.h"
#include "backends/cpu/kernels/linear_q4_k.inl.h"
#include "backends/cpu/kernels/linear_q6_k.inl.h"

inline LinearKernels linear_kernels() {
  static constexpr LinearFormat formats[] = {
      linear_format<FloatFormat<DType::f32>>(),
      linear_format<FloatFormat<DType::f16>>(),
      linear_format<FloatFormat<DType::bf16>>(),
      linear_format<NibbleFormat<DType::q4_0, false, false>>(),
      linear_format<NibbleFormat<DType::q4_1, false, true>>(),
      linear_format<NibbleFormat<DType::q5_0, true, false>>(),
      linear_format<NibbleFormat<DType::q5_1, true, true>>(),
      linear_format<Q8_0Format>(),
      linear_format<Q2_KFormat>(),
      linear_format<Q3_KFormat>(),
      linear_format<Q45_KFormat<false>>(),
      linear_format<Q45_KFormat<true>>(),
      linear_format<Q6_KFormat>(),
  };
  return {formats, sizeof formats / sizeof *formats, quantize_tile};
}
