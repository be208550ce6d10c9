// Entry points of the matrix product kernels of one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace phial::cpu {

struct LinearKernels {};

}  // namespace phial::cpu
