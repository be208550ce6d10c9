// Products with stacked weights.
#include "nn/linear.h"

namespace phial {

int64_t Linear::n_rows() const {
  int64_t n = 0;
  for (const Weight& w : parts) n += w.n_rows;
  return n;
}

Tensor norm_linear(Step& s, Tensor x, const Weight& norm, float eps, const Linear& w) {
  Workspace& ws = s.stream.workspace();
  Tensor out = ws.tensor(x.n_rows, w.n_rows());
  auto bias = [&](size_t i) { return w.biases.empty() ? Weight{} : w.biases[i]; };
  if (w.parts.size() == 1) {
    norm_linear(s.stream, out, x, norm, eps, w.parts[0], bias(0));
    return out;
  }
  WorkspaceScope scope(ws);
  Tensor h = ws.tensor(x.n_rows, x.n_cols);
  rms_norm(s.stream, h, x, norm, eps);
  int64_t row = 0;
  for (size_t i = 0; i < w.parts.size(); ++i) {
    linear(s.stream, out.columns(row, w.parts[i].n_rows), h, w.parts[i], bias(i));
    row += w.parts[i].n_rows;
  }
  return out;
}

void linear_add(Step& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  linear_add(s.stream, residual, x, w, bias);
}

}  // namespace phial
