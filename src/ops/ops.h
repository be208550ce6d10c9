// The front door of the operations: what model code calls. Each function checks shapes and types, then runs the stream's
// operation at once. A mismatch throws INTERNAL with the operation and its operands: it is a mistake in model code, since
// weights are checked when they are loaded. Tensors are f32 views; the numbers are docs/numerics.md's.
#pragma once

#include "tensor/stream.h"

namespace phial {

/// out [n, table.n_cols] = rows ids[0..n) of the table.
void get_rows(Stream& s, Tensor out, const Weight& table, const int32_t* ids);

/// out [n, c] = rows rows[0..n) of x [m, c].
void gather(Stream& s, Tensor out, Tensor x, const int32_t* rows);

/// out = x / sqrt(mean(x^2) + eps) * weight, over each run of weight.n_cols values of a row: a row may hold several heads.
/// out may be x. Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", eq. 4.
void rms_norm(Stream& s, Tensor out, Tensor x, const Weight& weight, float eps);

/// out [n, w.n_rows] = x [n, w.n_cols] times w transposed, plus bias [w.n_rows] where there is one. out does not overlap x.
void linear(Stream& s, Tensor out, Tensor x, const Weight& w, const Weight& bias = {});

/// out = a + b, [n, c] each; out may be either.
void add(Stream& s, Tensor out, Tensor a, Tensor b);

/// out = silu(gate) * up, [n, c] each; out may be gate. Source: Shazeer, "GLU Variants Improve Transformer".
void swiglu(Stream& s, Tensor out, Tensor gate, Tensor up);

/// Rotates the first n_rot values of each head of x [n, n_heads * head_dim], in place. cos_sin [n, n_rot]: the token's
/// n_rot / 2 cosines, then its sines. Source: Su et al., "RoFormer", section 3.2.2.
void rope(Stream& s, Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin);

/// Writes k and v [n_tokens, n_kv_heads * head_dim] to the pages of the step's tokens.
void kv_store(Stream& s, const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step);

/// out = softmax(q k^T * scale) v for each head, over the positions a token sees: its own and those before it in its
/// sequence, within the window. out, q [n_tokens, n_heads * head_dim]; kv_store of the step's tokens comes first.
/// Head h reads KV head h / (n_heads / n_kv_heads). Source: Vaswani et al., section 3.2.1; windows: Mistral 7B, section 2.
void attention(Stream& s, Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step);

// Fused operations: the same numbers as the operations above, one after the other.

/// out = linear(rms_norm(x)).
void norm_linear(Stream& s, Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias = {});

/// residual += linear(x).
void linear_add(Stream& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias = {});

/// out [n, F] = swiglu of the two halves of linear(rms_norm(x)); w_gate_up [2F, n_cols] holds the gate's rows, then up's.
void norm_linear_swiglu(Stream& s, Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up);

/// rope on q and k (in place), then kv_store, then attention.
void rope_attention(Stream& s, Tensor out, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                    const AttentionParams& params, const StepInputs& step);

}  // namespace phial
