// What each block format's file gives: the layout of a block, the decode that defines it, and how levels and scales go in.
// A format is one of four families; the encoder (encode.inl.h) is written once per family:
//   scaled          value = d * (q - offset)                      Q4_0 Q5_0 Q8_0
//   scaled_min      value = d * q + m                             Q4_1 Q5_1
//   super_scaled    value = d * scale * (q - offset)              Q3_K Q6_K
//   super_min       value = d * scale * q - dmin * min            Q2_K Q4_K Q5_K
// q is unsigned here; `offset` levels lie below zero. Sub-blocks of kSub values share the integer scale (and min).
#pragma once

#include <cstdint>

#include "quant/half.h"
#include "tensor/dtype.h"

namespace phial {

enum class BlockFamily { scaled, scaled_min, super_scaled, super_min };

/// Specialised in the file of each format:
///   Block, kFamily, kSub, kLevels, kOffset; for super-blocks kMaxScale (and kMinScale where scales are signed)
///   decode(block, out), finite(block), pack(block, ...)
template <DType D>
struct BlockFormat;

/// True for the formats that have such a specialisation.
template <DType D>
concept format_has_blocks = requires {
  sizeof(BlockFormat<D>);
};

}  // namespace phial
