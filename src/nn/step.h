// What every block of a forward sees: where to compute, the step's inputs, and the rotation table of its tokens.
#pragma once

#include "ops/ops.h"

namespace phial {

struct Step {
  Stream& stream;
  StepInputs inputs;
  Tensor cos_sin;  // [n_tokens, n_rot], by each token's position and its sequence's rope set
};

}  // namespace phial
