// What a step takes, without taking it. Room that a backend's products and attention may take inside is counted by a bound
// that holds for every backend: activations once more as int8 with scales, and a partial result per split of attention.
#include "tensor/plan_stream.h"

#include <algorithm>

#include "base/checked.h"
#include "tensor/kv_layout.h"

namespace phial {
namespace {

constexpr int64_t kSplitTokens = 1024;  // docs/numerics.md, Attention
constexpr int64_t kMaxPartialValues = 4 << 20;

}  // namespace

Weight PlanDevice::load(const WeightSource& s, WeightUse use) {
  const bool mapped = s.mapped_rows != nullptr;
  if (mapped) {
    const uint64_t row = row_bytes(s.dtype, static_cast<uint64_t>(s.n_cols));
    const uint64_t bytes = (CheckedSize(row) * static_cast<uint64_t>(s.n_rows)).value();
    if (use == WeightUse::table) mapped_row_bytes_ = row;
    (use == WeightUse::table ? mapped_table_bytes_ : mapped_matrix_bytes_) += bytes;
  }
  return {s.name, use == WeightUse::vector ? DType::f32 : s.dtype, s.n_rows, s.n_cols,
          std::make_shared<PlannedStorage>(mapped ? 0 : real_.weight_bytes(s.dtype, s.n_rows, s.n_cols, use), mapped)};
}

std::unique_ptr<Stream> PlanDevice::open_stream(Workspace& workspace) { return real_.open_plan_stream(workspace); }

void PlanStream::linear(Tensor, Tensor x, const Weight& w, const Weight&) {
  n_flops_ += 2 * static_cast<uint64_t>(x.n_rows) * static_cast<uint64_t>(w.n_rows) * static_cast<uint64_t>(w.n_cols);
  take_for_linear(x.n_rows, w);
}

void PlanStream::take_for_linear(int64_t n_tokens, const Weight& w) {
  WorkspaceScope scope(workspace());
  workspace().tensor(n_tokens + 64, w.n_cols);
}

void PlanStream::attention(Tensor, Tensor q, const KvLayer&, const AttentionParams& params, const StepInputs& step) {
  WorkspaceScope scope(workspace());
  const int64_t n_splits = (static_cast<int64_t>(step.max_pages) * kPageTokens + kSplitTokens - 1) / kSplitTokens;
  // Splits are spread over threads only while their partial results are few.
  const int64_t n_rows = std::min<int64_t>(q.n_rows, 64) * params.n_heads * n_splits;
  workspace().tensor(std::min<int64_t>(n_rows, kMaxPartialValues / (params.head_dim + 16)), params.head_dim + 16);
}

}  // namespace phial
