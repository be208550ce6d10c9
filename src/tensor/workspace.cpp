// The bump allocator of a step.
#include "tensor/workspace.h"

#include <algorithm>

#include "base/checked.h"

namespace phial {

std::byte* Workspace::take(uint64_t n_bytes) {
  const uint64_t end = (CheckedSize(used_) + n_bytes).aligned(64).value();
  if (end > capacity_)
    fail(ErrorCode::no_memory, "workspace: {} bytes wanted with {} of {} used; lower --ubatch-size", n_bytes, used_, capacity_);
  std::byte* at = base_ ? base_ + used_ : nullptr;
  used_ = end;
  peak_ = std::max(peak_, used_);
  return at;
}

Tensor Workspace::tensor(int64_t n_rows, int64_t n_cols) {
  const int64_t stride = (n_cols + 15) / 16 * 16;
  const CheckedSize bytes = CheckedSize(n_rows) * static_cast<uint64_t>(stride) * sizeof(float);
  return {reinterpret_cast<float*>(take(bytes.value())), n_rows, n_cols, stride};
}

}  // namespace phial
