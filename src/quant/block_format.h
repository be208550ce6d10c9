// What each block format's file gives: the layout of a block, its integers, and how levels and scales go in.
// A format is one of four families; the encoder (encode.inl.h) is written once per family:
//   scaled          value = d * (q - offset)                      Q4_0 Q5_0 Q8_0
//   scaled_min      value = d * q + m                             Q4_1 Q5_1
//   super_scaled    value = d * scale * (q - offset)              Q3_K Q6_K
//   super_min       value = d * scale * q - dmin * min            Q2_K Q4_K Q5_K
// q is unsigned here; `offset` levels lie below zero. Sub-blocks of kSub values share the integer scale (and min).
#pragma once

#include <cstdint>
#include <cstring>

#include "quant/half.h"
#include "quant/integer_view.h"
#include "tensor/dtype.h"

namespace phial {

enum class BlockFamily { scaled, scaled_min, super_scaled, super_min };
constexpr bool is_super(BlockFamily f) { return f == BlockFamily::super_scaled || f == BlockFamily::super_min; }
constexpr bool has_min(BlockFamily f) { return f == BlockFamily::scaled_min || f == BlockFamily::super_min; }

/// Specialised in the file of each format:
///   Block, kFamily, kSub, kLevels, kOffset; for super-blocks kMaxScale (and kMinScale where scales are signed)
///   integers(block, out): d and q; scale where the family has integer scales; m where it has a minimum, min where that is
///   integer finite(block), pack(block, ...)
template <DType D>
struct BlockFormat;

/// True for the formats that have such a specialisation.
template <DType D>
concept format_has_blocks = requires {
  sizeof(BlockFormat<D>);
};

/// Values of a block.
template <class Format>
constexpr int kBlockValues = is_super(Format::kFamily) ? 256 : Format::kSub;

template <DType D>
void unpack_integers(const std::byte* bytes, IntegerBlock& out) {
  using Format = BlockFormat<D>;
  typename Format::Block block;
  std::memcpy(&block, bytes, sizeof block);  // blocks in files are not aligned
  out.scale[0] = 1;
  out.m = 0;
  constexpr int n_min = is_super(Format::kFamily) ? 256 / Format::kSub : 1;
  for (int j = 0; j < n_min; ++j) out.min[j] = has_min(Format::kFamily);
  Format::integers(block, out);
}

}  // namespace phial
