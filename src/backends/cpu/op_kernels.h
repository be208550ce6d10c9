// Entry points of the kernels beside the matrix products: norms, rotation, element-wise, KV store, attention.
#pragma once

#include <cstdint>

namespace phial::cpu {

struct OpKernels {};

}  // namespace phial::cpu
