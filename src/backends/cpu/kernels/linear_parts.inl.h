// What the matrix product kernels of an instruction set are made of, without the weight formats.

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
#include "backends/cpu/kernels/float_functions.inl.h"
#include "backends/cpu/kernels/activations.inl.h"
#include "backends/cpu/kernels/linear_levels.inl.h"
#include "backends/cpu/kernels/linear_packed.inl.h"
