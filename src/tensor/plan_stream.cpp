// What a step takes, without taking it. Room that a backend's products and attention may take inside is counted by a bound
// that holds for every backend: activations once more as int8 with scales, and a partial result per split of attention.
#include "tensor/plan_stream.h"

#include <algorithm>

#include "tensor/kv_layout.h"

namespace phial {
namespace {

struct PlannedStorage : WeightStorage {
  explicit PlannedStorage(uint64_t n) : bytes(n) {}
  uint64_t n_bytes() const override { return bytes; }
  uint64_t bytes;
};

constexpr int64_t kSplitTokens = 1024;  // docs/numerics.md, Attention
constexpr int64_t kMaxPartialValues = 4 << 20;

}  // namespace

Weight PlanDevice::load(const WeightSource& s, WeightUse use) {
  return {s.name, use == WeightUse::vector ? DType::f32 : s.dtype, s.n_rows, s.n_cols,
          std::make_shared<PlannedStorage>(s.mapped_rows ? 0 : real_.weight_bytes(s.dtype, s.n_rows, s.n_cols, use))};
}

std::unique_ptr<Stream> PlanDevice::open_stream(Workspace& workspace) { return std::make_unique<PlanStream>(workspace); }

void PlanStream::linear(Tensor, Tensor x, const Weight& w, const Weight&) {
  n_flops_ += 2 * static_cast<uint64_t>(x.n_rows) * static_cast<uint64_t>(w.n_rows) * static_cast<uint64_t>(w.n_cols);
  WorkspaceScope scope(workspace());
  workspace().tensor(x.n_rows + 64, x.n_cols);
}

void PlanStream::attention(Tensor, Tensor q, const KvLayer&, const AttentionParams& params, const StepInputs& step) {
  WorkspaceScope scope(workspace());
  const int64_t n_splits = (static_cast<int64_t>(step.max_pages) * kPageTokens + kSplitTokens - 1) / kSplitTokens;
  // Splits are spread over threads only while their partial results are few.
  const int64_t n_rows = std::min<int64_t>(q.n_rows, 64) * params.n_heads * n_splits;
  workspace().tensor(std::min<int64_t>(n_rows, kMaxPartialValues / (params.head_dim + 16)), params.head_dim + 16);
}

}  // namespace phial
