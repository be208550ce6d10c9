// Shape checks, result space and the call, for each operation.
#include "ops/ops.h"

#include "base/fail.h"

namespace phial {
namespace {

std::string text(const Tensor& t) { return fmt::format("[{}, {}]", t.n_rows, t.n_cols); }
std::string text(const Weight& w) {
  return fmt::format("{} {} [{}, {}]", printable(w.name), format_info(w.dtype).text, w.n_rows, w.n_cols);
}

/// Throws when the condition is false: operation, what is wrong, the operands.
template <typename... Operands>
void require(bool condition, const char* op, const char* what, const Operands&... operands) {
  if (condition) return;
  std::string list;
  ((list += (list.empty() ? "" : ", ") + text(operands)), ...);
  fail(ErrorCode::internal, "{}: {} (operands: {}); the model's forward and its weights disagree", op, what, list);
}

Tensor result(Step& s, int64_t n_rows, int64_t n_cols) { return s.stream.workspace().tensor(n_rows, n_cols); }

bool is_vector(const Weight& w, int64_t n) { return w && w.n_rows == 1 && w.n_cols == n; }

bool is_multipliable(const Weight& w) {
  return w && (format_info(w.dtype).is_quantized() || w.dtype == DType::f32 || w.dtype == DType::f16 || w.dtype == DType::bf16);
}

void check_linear(const char* op, Tensor x, const Weight& w, const Weight& bias) {
  require(is_multipliable(w), op, "the weight's type has no matrix product", x, w);
  require(x.n_cols == w.n_cols, op, "columns of x differ from columns of the weight", x, w);
  require(!bias || is_vector(bias, w.n_rows), op, "the bias is not one value per row of the weight", w, bias);
}

void check_norm(const char* op, Tensor x, const Weight& weight) {
  require(weight && weight.n_rows == 1 && weight.n_cols > 0, op, "the weight is not a vector", x, weight);
  require(x.n_cols % weight.n_cols == 0, op, "columns of x are not a multiple of the weight's length", x, weight);
}

void check_rope(const char* op, Tensor x, int32_t head_dim, Tensor cos_sin) {
  require(head_dim > 0 && x.n_cols % head_dim == 0, op, "columns of x are not whole heads", x);
  require(cos_sin.n_rows == x.n_rows, op, "cos_sin has not one row per token", x, cos_sin);
  require(cos_sin.n_cols % 2 == 0 && cos_sin.n_cols <= head_dim, op, "cos_sin rotates more values than a head has", x, cos_sin);
}

void check_kv(const char* op, const KvLayer& kv, Tensor k, Tensor v, const StepInputs& in) {
  const int64_t width = static_cast<int64_t>(kv.n_kv_heads) * kv.head_dim;
  require(k.n_rows == in.n_tokens && v.n_rows == in.n_tokens, op, "k and v have not one row per token", k, v);
  require(k.n_cols == width && v.n_cols == width, op, "k and v are not as wide as the cache's heads", k, v);
  for (const DType dtype : {kv.k_dtype, kv.v_dtype}) {
    require(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::q8_0, op, "the cache is not f32, f16 or q8_0", k, v);
    require(dtype != DType::q8_0 || kv.head_dim % 32 == 0, op, "a q8_0 cache needs a head size in multiples of 32", k, v);
  }
}

void check_attention(const char* op, Tensor q, const KvLayer& kv, const AttentionParams& p, const StepInputs& in) {
  require(q.n_rows == in.n_tokens, op, "q has not one row per token", q);
  require(p.n_kv_heads > 0 && p.n_heads % p.n_kv_heads == 0, op, "heads are not a multiple of KV heads", q);
  require(q.n_cols == static_cast<int64_t>(p.n_heads) * p.head_dim, op, "q is not n_heads * head_dim wide", q);
  require(p.n_kv_heads == kv.n_kv_heads && p.head_dim == kv.head_dim, op, "the cache has other heads", q);
}

}  // namespace

Tensor embed(Step& s, const Weight& table) {
  require(static_cast<bool>(table), "embed", "no table", table);
  Tensor out = result(s, s.in.n_tokens, table.n_cols);
  s.stream.get_rows(out, table, s.in.token_ids);
  return out;
}

Tensor gather_outputs(Step& s, Tensor x) {
  require(x.n_rows == s.in.n_tokens, "gather_outputs", "x has not one row per token", x);
  Tensor out = result(s, s.in.n_outputs, x.n_cols);
  s.stream.gather(out, x, s.in.output_rows);
  return out;
}

Tensor rms_norm(Step& s, Tensor x, const Weight& weight, float eps) {
  check_norm("rms_norm", x, weight);
  Tensor out = result(s, x.n_rows, x.n_cols);
  s.stream.rms_norm(out, x, weight, eps);
  return out;
}

void rms_norm_in_place(Step& s, Tensor x, const Weight& weight, float eps) {
  check_norm("rms_norm", x, weight);
  s.stream.rms_norm(x, x, weight, eps);
}

Tensor linear(Step& s, Tensor x, const Weight& w, const Weight& bias) {
  check_linear("linear", x, w, bias);
  Tensor out = result(s, x.n_rows, w.n_rows);
  s.stream.linear(out, x, w, bias);
  return out;
}

Tensor add(Step& s, Tensor a, Tensor b) {
  require(a.n_rows == b.n_rows && a.n_cols == b.n_cols, "add", "shapes differ", a, b);
  Tensor out = result(s, a.n_rows, a.n_cols);
  s.stream.add(out, a, b);
  return out;
}

Tensor swiglu(Step& s, Tensor gate, Tensor up) {
  require(gate.n_rows == up.n_rows && gate.n_cols == up.n_cols, "swiglu", "shapes differ", gate, up);
  Tensor out = result(s, gate.n_rows, gate.n_cols);
  s.stream.swiglu(out, gate, up);
  return out;
}

void rope(Step& s, Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) {
  check_rope("rope", x, head_dim, cos_sin);
  s.stream.rope(x, head_dim, kind, cos_sin);
}

void kv_store(Step& s, const KvLayer& kv, Tensor k, Tensor v) {
  check_kv("kv_store", kv, k, v, s.in);
  s.stream.kv_store(kv, k, v, s.in);
}

Tensor attention(Step& s, Tensor q, const KvLayer& kv, const AttentionParams& params) {
  check_attention("attention", q, kv, params, s.in);
  Tensor out = result(s, q.n_rows, q.n_cols);
  s.stream.attention(out, q, kv, params, s.in);
  return out;
}

Tensor norm_linear(Step& s, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) {
  check_norm("norm_linear", x, norm);
  check_linear("norm_linear", x, w, bias);
  Tensor out = result(s, x.n_rows, w.n_rows);
  s.stream.norm_linear(out, x, norm, eps, w, bias);
  return out;
}

void linear_add(Step& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  check_linear("linear_add", x, w, bias);
  require(residual.n_rows == x.n_rows && residual.n_cols == w.n_rows, "linear_add", "the residual has another shape", residual, w);
  s.stream.linear_add(residual, x, w, bias);
}

Tensor norm_linear_swiglu(Step& s, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) {
  check_norm("norm_linear_swiglu", x, norm);
  check_linear("norm_linear_swiglu", x, w_gate_up, {});
  require(w_gate_up.n_rows % 2 == 0, "norm_linear_swiglu", "gate and up rows are not equally many", x, w_gate_up);
  Tensor out = result(s, x.n_rows, w_gate_up.n_rows / 2);
  s.stream.norm_linear_swiglu(out, x, norm, eps, w_gate_up);
  return out;
}

Tensor rope_attention(Step& s, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                      const AttentionParams& params) {
  check_rope("rope_attention", q, params.head_dim, cos_sin);
  check_rope("rope_attention", k, params.head_dim, cos_sin);
  check_kv("rope_attention", kv, k, v, s.in);
  check_attention("rope_attention", q, kv, params, s.in);
  Tensor out = result(s, q.n_rows, q.n_cols);
  s.stream.rope_attention(out, q, k, v, kind, cos_sin, kv, params, s.in);
  return out;
}

}  // namespace phial
