// Matrix products: loading of matrices and the linear operations.
#include "backends/cpu/cpu_device.h"
#include "backends/cpu/cpu_stream.h"
#include "base/fail.h"

namespace phial::cpu {

std::shared_ptr<WeightStorage> CpuDevice::load_matrix(const WeightSource& source) {
  fail(ErrorCode::unsupported, "{}: no matrix product yet", printable(source.name));
}

uint64_t CpuDevice::weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const {
  if (use == WeightUse::vector) return static_cast<uint64_t>(n_rows * n_cols) * sizeof(float);
  return row_bytes(dtype, static_cast<uint64_t>(n_cols)) * static_cast<uint64_t>(n_rows);
}

void CpuStream::linear(Tensor, Tensor, const Weight& w, const Weight&) {
  fail(ErrorCode::unsupported, "{}: no matrix product yet", printable(w.name));
}

}  // namespace phial::cpu
