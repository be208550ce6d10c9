// The gated feed-forward block.
#pragma once

#include "nn/linear.h"

namespace phial {

/// silu(g) * u with (g | u) = rms_norm(x) w_gate_up^T, from the workspace: [x.n_rows, w_gate_up.n_rows() / 2].
Tensor norm_swiglu(Step& s, Tensor x, const Weight& norm, float eps, const Linear& w_gate_up);

}  // namespace phial
