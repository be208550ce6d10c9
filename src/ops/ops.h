// The front door of the operations: what model code calls. Each function checks shapes and types (throwing INTERNAL with
// the operation and the shapes: a mismatch is a mistake in model code, since weights are checked when loaded), takes its
// result from the stream's workspace and runs at once. The numbers are docs/numerics.md's.
// A result lives until the workspace scope it was taken in ends.
#pragma once

#include "tensor/stream.h"

namespace phial {

/// One forward pass: where it runs, and the values of this step.
struct Step {
  Stream& stream;
  const StepInputs& in;
};

/// Rows of the table for the step's token ids: [n_tokens, table.n_cols].
Tensor embed(Step& s, const Weight& table);

/// Rows of x [n_tokens, c] whose logits are wanted: [n_outputs, c].
Tensor gather_outputs(Step& s, Tensor x);

/// x / sqrt(mean(x^2) + eps) * weight, over each run of weight.n_cols values of a row: a row may hold several heads.
/// Source: Zhang & Sennrich, "Root Mean Square Layer Normalization", eq. 4.
Tensor rms_norm(Step& s, Tensor x, const Weight& weight, float eps);
/// The same, written over x (norms of q and k heads inside a fused projection).
void rms_norm_in_place(Step& s, Tensor x, const Weight& weight, float eps);

/// x [n, w.n_cols] times w transposed, plus bias [w.n_rows] where there is one: [n, w.n_rows].
Tensor linear(Step& s, Tensor x, const Weight& w, const Weight& bias = {});

/// a + b, [n, c] each.
Tensor add(Step& s, Tensor a, Tensor b);

/// silu(gate) * up, [n, c] each. Source: Shazeer, "GLU Variants Improve Transformer".
Tensor swiglu(Step& s, Tensor gate, Tensor up);

/// Rotates the first n_rot values of each head of x [n, n_heads * head_dim], in place. cos_sin [n, n_rot]: the token's
/// n_rot / 2 cosines, then its sines. Source: Su et al., "RoFormer", section 3.2.2.
void rope(Step& s, Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin);

/// Writes k and v [n_tokens, n_kv_heads * head_dim] to the pages of the step's tokens.
void kv_store(Step& s, const KvLayer& kv, Tensor k, Tensor v);

/// softmax(q k^T * scale) v for each head, over the positions a token sees: its own and those before it in its sequence,
/// within the window. q [n_tokens, n_heads * head_dim]; kv_store of this step's tokens comes first. Head h reads
/// KV head h / (n_heads / n_kv_heads). Source: Vaswani et al., section 3.2.1; windows as Mistral 7B, section 2.
Tensor attention(Step& s, Tensor q, const KvLayer& kv, const AttentionParams& params);

// Fused operations: the same numbers as the primitives above one after the other.

/// linear(rms_norm(x)).
Tensor norm_linear(Step& s, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias = {});

/// residual += linear(x).
void linear_add(Step& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias = {});

/// swiglu of the two halves of linear(rms_norm(x)); w_gate_up [2F, n_cols] holds the gate's rows, then up's: [n, F].
Tensor norm_linear_swiglu(Step& s, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up);

/// rope on q and k (in place), kv_store, attention.
Tensor rope_attention(Step& s, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                      const AttentionParams& params);

}  // namespace phial
