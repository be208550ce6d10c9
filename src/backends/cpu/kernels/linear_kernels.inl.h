// The matrix product kernels of this instruction set. A weight format is a file in backends/cpu/formats, which specialises
// FormatKernels; the build writes linear_formats.inl.h, which includes them all.

#include "backends/cpu/kernels/linear_parts.inl.h"
#include "backends/cpu/linear_formats.inl.h"

inline LinearKernels linear_kernels() {
  static constexpr LinearFormat formats[] = {
#define X(name, text, id, values, bytes, group) linear_format<DType::name>(),
#include "tensor/formats.def"
#undef X
  };
  return {formats, kTilePanels, quantize_tile};
}
