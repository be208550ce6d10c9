// The matrix product kernels of this instruction set. A weight format is a file in backends/cpu/formats, which specialises
// FormatKernels; the build writes linear_formats.inl.h, which includes them all.

constexpr int act_group(DType dtype) {
  constexpr int groups[] = {
#define X(name, text, id, values, bytes, group) group,
#include "tensor/formats.def"
#undef X
  };
  return groups[static_cast<int>(dtype)];
}

#include "backends/cpu/kernels/linear_tiles.inl.h"
#ifdef PHIAL_OWN_TILES  // tile kernels of this instruction set, constrained, so preferred to those above
#include PHIAL_OWN_TILES
#endif
#include "backends/cpu/kernels/activations.inl.h"
#include "backends/cpu/kernels/linear_levels.inl.h"
#include "backends/cpu/kernels/linear_packed.inl.h"

#include "backends/cpu/linear_formats.inl.h"

inline LinearKernels linear_kernels() {
  static constexpr LinearFormat formats[] = {
#define X(name, text, id, values, bytes, group) linear_format<DType::name>(),
#include "tensor/formats.def"
#undef X
  };
  return {formats, kTilePanels, quantize_tile};
}
