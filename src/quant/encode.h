// Encoding rows into block formats: a weighted least-squares search, one block per SIMD lane (encode.inl.h), so that every
// instruction set and every number of lanes gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace phial {

/// n_rows rows of row_length values to bytes in any format that can be written. importance: row_length weights, or nullptr.
/// row_length is a multiple of the block. Input must be finite. Same bytes as Codec::encode row by row, but faster.
void quantize_rows(const float* rows, int64_t n_rows, int64_t row_length, DType dtype, const float* importance, std::byte* out);

/// The encoder of block formats compiled for one instruction set.
struct EncodeKernels {
  const char* name;
  bool (*usable)();
  void (*encode)(DType dtype, const float* rows, int64_t n_rows, int64_t row_length, const float* importance, std::byte* out);
};

/// All of them, the best first; the last one runs everywhere.
std::span<const EncodeKernels> encode_kernels();

}  // namespace phial
