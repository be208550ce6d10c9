// Shape checks, then the call.
#include "ops/ops.h"

#include "base/fail.h"
#include "tensor/kv_layout.h"

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
  fail(ErrorCode::internal, "{}: {} (operands: {}); forward() and the weights' shapes disagree", op, what, list);
}

bool same_shape(const Tensor& a, const Tensor& b) { return a.n_rows == b.n_rows && a.n_cols == b.n_cols; }
bool is_vector(const Weight& w) { return w && w.n_rows == 1 && w.n_cols > 0; }

bool has_product(const Weight& w) {
  return w && (format_info(w.dtype).is_quantized() || w.dtype == DType::f32 || w.dtype == DType::f16 || w.dtype == DType::bf16);
}

void check_linear(const char* op, const Tensor& x, const Weight& w, const Weight& bias) {
  require(has_product(w), op, "the weight's type has no matrix product", x, w);
  require(x.n_cols == w.n_cols, op, "columns of x differ from columns of the weight", x, w);
  require(!bias || (is_vector(bias) && bias.n_cols == w.n_rows), op, "the bias is not one value per row of the weight", w, bias);
}

void check_norm(const char* op, const Tensor& x, const Weight& weight) {
  require(is_vector(weight), op, "the weight is not a vector", x, weight);
  require(x.n_cols % weight.n_cols == 0, op, "columns of x are not a multiple of the weight's length", x, weight);
}

void check_rope(const char* op, const Tensor& x, int32_t head_dim, const Tensor& cos_sin) {
  require(head_dim > 0 && x.n_cols % head_dim == 0, op, "columns of x are not whole heads", x);
  require(cos_sin.n_rows == x.n_rows, op, "cos_sin has not one row per token", x, cos_sin);
  require(cos_sin.n_cols % 2 == 0 && cos_sin.n_cols <= head_dim, op, "cos_sin rotates more values than a head has", x, cos_sin);
}

void check_kv_store(const char* op, const KvLayer& kv, const Tensor& k, const Tensor& v, const StepInputs& step) {
  const int64_t width = static_cast<int64_t>(kv.n_kv_heads) * kv.head_dim;
  require(k.n_rows == step.n_tokens && v.n_rows == step.n_tokens, op, "k and v have not one row per token", k, v);
  require(k.n_cols == width && v.n_cols == width, op, "k and v are not as wide as the cache's heads", k, v);
  for (const DType dtype : {kv.k_dtype, kv.v_dtype}) {
    require(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::i16 || dtype == DType::q8_0, op,
            "the cache is not f32, f16, i16 or q8_0", k, v);
    require(kv_holds(dtype, kv.head_dim), op,
            "a q8_0 cache needs a head size in multiples of 32, at most 1024, an i16 cache an even one, at most 512", k, v);
  }
}

void check_attention(const char* op, const Tensor& out, const Tensor& q, const KvLayer& kv, const AttentionParams& p,
                     const StepInputs& step) {
  require(same_shape(out, q) && q.n_rows == step.n_tokens, op, "q and the result have not one row per token", out, q);
  require(p.n_kv_heads > 0 && p.n_heads % p.n_kv_heads == 0, op, "heads are not a multiple of KV heads", q);
  require(q.n_cols == static_cast<int64_t>(p.n_heads) * p.head_dim, op, "q is not n_heads * head_dim wide", q);
  require(p.n_kv_heads == kv.n_kv_heads && p.head_dim == kv.head_dim, op, "the cache has other heads than the step", q);
}

}  // namespace

void get_rows(Stream& s, Tensor out, const Weight& table, const int32_t* ids) {
  require(table && out.n_cols == table.n_cols, "get_rows", "the result is not as wide as the table", out, table);
  s.get_rows(out, table, ids);
}

void gather(Stream& s, Tensor out, Tensor x, const int32_t* rows) {
  require(out.n_cols == x.n_cols, "gather", "widths differ", out, x);
  s.gather(out, x, rows);
}

void rms_norm(Stream& s, Tensor out, Tensor x, const Weight& weight, float eps) {
  check_norm("rms_norm", x, weight);
  require(same_shape(out, x), "rms_norm", "shapes differ", out, x);
  s.rms_norm(out, x, weight, eps);
}

void linear(Stream& s, Tensor out, Tensor x, const Weight& w, const Weight& bias) {
  check_linear("linear", x, w, bias);
  require(out.n_rows == x.n_rows && out.n_cols == w.n_rows, "linear", "the result has another shape", out, x, w);
  s.linear(out, x, w, bias);
}

void add(Stream& s, Tensor out, Tensor a, Tensor b) {
  require(same_shape(out, a) && same_shape(out, b), "add", "shapes differ", out, a, b);
  s.add(out, a, b);
}

void swiglu(Stream& s, Tensor out, Tensor gate, Tensor up) {
  require(same_shape(out, gate) && same_shape(out, up), "swiglu", "shapes differ", out, gate, up);
  s.swiglu(out, gate, up);
}

void rope(Stream& s, Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) {
  check_rope("rope", x, head_dim, cos_sin);
  s.rope(x, head_dim, kind, cos_sin);
}

void kv_store(Stream& s, const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) {
  check_kv_store("kv_store", kv, k, v, step);
  s.kv_store(kv, k, v, step);
}

void attention(Stream& s, Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) {
  check_attention("attention", out, q, kv, params, step);
  s.attention(out, q, kv, params, step);
}

void norm_linear(Stream& s, Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) {
  check_norm("norm_linear", x, norm);
  check_linear("norm_linear", x, w, bias);
  require(out.n_rows == x.n_rows && out.n_cols == w.n_rows, "norm_linear", "the result has another shape", out, x, w);
  s.norm_linear(out, x, norm, eps, w, bias);
}

void linear_add(Stream& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  check_linear("linear_add", x, w, bias);
  require(residual.n_rows == x.n_rows && residual.n_cols == w.n_rows, "linear_add", "the residual has another shape", residual, x,
          w);
  s.linear_add(residual, x, w, bias);
}

void norm_linear_swiglu(Stream& s, Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) {
  check_norm("norm_linear_swiglu", x, norm);
  check_linear("norm_linear_swiglu", x, w_gate_up, {});
  require(out.n_rows == x.n_rows && 2 * out.n_cols == w_gate_up.n_rows, "norm_linear_swiglu", "the result has another shape", out,
          x, w_gate_up);
  s.norm_linear_swiglu(out, x, norm, eps, w_gate_up);
}

void rope_attention(Stream& s, Tensor out, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                    const AttentionParams& params, const StepInputs& step) {
  check_rope("rope_attention", q, params.head_dim, cos_sin);
  check_rope("rope_attention", k, params.head_dim, cos_sin);
  check_kv_store("rope_attention", kv, k, v, step);
  check_attention("rope_attention", out, q, kv, params, step);
  s.rope_attention(out, q, k, v, kind, cos_sin, kv, params, step);
}

}  // namespace phial
