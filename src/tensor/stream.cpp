// Default bodies of the fused operations: they define the numbers, backends make them fast.
#include "tensor/stream.h"

#include "tensor/plan_stream.h"

namespace phial {

std::unique_ptr<PlanStream> Device::open_plan_stream(Workspace& workspace) const {
  return std::make_unique<PlanStream>(workspace);
}

void Stream::norm_linear(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) {
  WorkspaceScope scope(workspace_);
  Tensor h = workspace_.tensor(x.n_rows, x.n_cols);
  rms_norm(h, x, norm, eps);
  linear(out, h, w, bias);
}

void Stream::linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  WorkspaceScope scope(workspace_);
  Tensor y = workspace_.tensor(residual.n_rows, residual.n_cols);
  linear(y, x, w, bias);
  add(residual, residual, y);
}

void Stream::norm_linear_swiglu(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) {
  WorkspaceScope scope(workspace_);
  const int64_t f = w_gate_up.n_rows / 2;
  Tensor gate_up = workspace_.tensor(x.n_rows, w_gate_up.n_rows);
  norm_linear(gate_up, x, norm, eps, w_gate_up, {});
  swiglu(out, gate_up.columns(0, f), gate_up.columns(f, f));
}

void Stream::rope_attention(Tensor out, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                            const AttentionParams& params, const StepInputs& step) {
  rope(q, params.head_dim, kind, cos_sin);
  rope(k, params.head_dim, kind, cos_sin);
  kv_store(kv, k, v, step);
  attention(out, q, kv, params, step);
}

}  // namespace phial
