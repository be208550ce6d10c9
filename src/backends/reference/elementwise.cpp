// Rows looked up, norms, sums and gates: docs/numerics.md, "Element-wise".
#include <algorithm>

#include "backends/reference/reference_stream.h"
#include "ops/numerics.h"
#include "quant/codec.h"

namespace phial {

void ReferenceStream::get_rows(Tensor out, const Weight& table, const int32_t* ids) {
  const ReferenceWeight& rows = ReferenceWeight::of(table);
  for (int64_t i = 0; i < out.n_rows; ++i) codec(table.dtype).decode(rows.row(table, ids[i]), out.row(i), out.n_cols);
}

void ReferenceStream::gather(Tensor out, Tensor x, const int32_t* rows) {
  for (int64_t i = 0; i < out.n_rows; ++i) std::copy_n(x.row(rows[i]), out.n_cols, out.row(i));
}

void ReferenceStream::rms_norm(Tensor out, Tensor x, const Weight& weight, float eps) {
  const float* w = ReferenceWeight::of(weight).values();
  const int64_t n = weight.n_cols;
  for (int64_t t = 0; t < x.n_rows; ++t) {
    for (int64_t begin = 0; begin < x.n_cols; begin += n) {
      const float* in = x.row(t) + begin;
      float* to = out.row(t) + begin;
      LaneSum squares;
      for (int64_t i = 0; i < n; ++i) squares.lane[i % kLanes] = std::fma(in[i], in[i], squares.lane[i % kLanes]);
      const float scale = 1.0f / std::sqrt(squares.total() / static_cast<float>(n) + eps);
      for (int64_t i = 0; i < n; ++i) to[i] = in[i] * scale * w[i];
    }
  }
}

void ReferenceStream::add(Tensor out, Tensor a, Tensor b) {
  for (int64_t t = 0; t < out.n_rows; ++t)
    for (int64_t i = 0; i < out.n_cols; ++i) out.row(t)[i] = a.row(t)[i] + b.row(t)[i];
}

void ReferenceStream::swiglu(Tensor out, Tensor gate, Tensor up) {
  for (int64_t t = 0; t < out.n_rows; ++t)
    for (int64_t i = 0; i < out.n_cols; ++i) out.row(t)[i] = silu_f32(gate.row(t)[i]) * up.row(t)[i];
}

void ReferenceStream::rope(Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) {
  const int64_t half = cos_sin.n_cols / 2;
  for (int64_t t = 0; t < x.n_rows; ++t) {
    const float* cosine = cos_sin.row(t);
    const float* sine = cosine + half;
    for (float* head = x.row(t); head < x.row(t) + x.n_cols; head += head_dim) {
      for (int64_t i = 0; i < half; ++i) {
        float& a = kind == RopeKind::neox ? head[i] : head[2 * i];
        float& b = kind == RopeKind::neox ? head[i + half] : head[2 * i + 1];
        const float a0 = a, b0 = b;
        a = std::fma(a0, cosine[i], -(b0 * sine[i]));
        b = std::fma(b0, cosine[i], a0 * sine[i]);
      }
    }
  }
}

}  // namespace phial
