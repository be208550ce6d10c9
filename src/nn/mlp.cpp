// Gate and up products, then SwiGLU.
#include "nn/mlp.h"

namespace phial {

Tensor norm_swiglu(Step& s, Tensor x, const Weight& norm, float eps, const Linear& w_gate_up) {
  Workspace& ws = s.stream.workspace();
  const int64_t n_ff = w_gate_up.n_rows() / 2;
  Tensor out = ws.tensor(x.n_rows, n_ff);
  if (w_gate_up.parts.size() == 1) {
    norm_linear_swiglu(s.stream, out, x, norm, eps, w_gate_up.parts[0]);
    return out;
  }
  WorkspaceScope scope(ws);
  Tensor gate_up = norm_linear(s, x, norm, eps, w_gate_up);
  swiglu(s.stream, out, gate_up.columns(0, n_ff), gate_up.columns(n_ff, n_ff));
  return out;
}

}  // namespace phial
