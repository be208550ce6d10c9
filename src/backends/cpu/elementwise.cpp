// Rows looked up and copied, norms, sums, gates, rotations: a row at a time.
#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/weight_storage.h"
#include "quant/codec.h"

namespace phial::cpu {

void CpuStream::get_rows(Tensor out, const Weight& table, const int32_t* ids) {
  const auto decode = codec(table.dtype).decode;
  for_rows(pool_, out.n_rows, out.n_cols, [&](int64_t i) { decode(plain(table).row(ids[i]), out.row(i), out.n_cols); });
}

void CpuStream::gather(Tensor out, Tensor x, const int32_t* rows) {
  for_rows(pool_, out.n_rows, out.n_cols, [&](int64_t i) { std::copy_n(x.row(rows[i]), out.n_cols, out.row(i)); });
}

void CpuStream::rms_norm(Tensor out, Tensor x, const Weight& weight, float eps) {
  const float* w = vector_values(weight);
  for_rows(pool_, x.n_rows, x.n_cols, [&](int64_t i) {
    for (int64_t at = 0; at < x.n_cols; at += weight.n_cols)
      kernels_.ops.rms_norm(out.row(i) + at, x.row(i) + at, w, weight.n_cols, eps);
  });
}

void CpuStream::add(Tensor out, Tensor a, Tensor b) {
  for_rows(pool_, out.n_rows, out.n_cols, [&](int64_t i) { kernels_.ops.add(out.row(i), a.row(i), b.row(i), out.n_cols); });
}

void CpuStream::swiglu(Tensor out, Tensor gate, Tensor up) {
  for_rows(pool_, out.n_rows, out.n_cols,
           [&](int64_t i) { kernels_.ops.swiglu(out.row(i), gate.row(i), up.row(i), out.n_cols); });
}

void CpuStream::rope(Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) {
  for_rows(pool_, x.n_rows, x.n_cols,
           [&](int64_t i) { kernels_.ops.rope(x.row(i), x.n_cols / head_dim, head_dim, kind, cos_sin.row(i), cos_sin.n_cols); });
}

}  // namespace phial::cpu
