// What the CPU's operations take, by the same formulas that they use themselves.
#include <algorithm>

#include "backends/cpu/attention_cut.h"
#include "backends/cpu/cpu_device.h"
#include "backends/cpu/packed_matrix.h"
#include "tensor/plan_stream.h"

namespace phial::cpu {
namespace {

class CpuPlanStream final : public PlanStream {
 public:
  CpuPlanStream(Workspace& workspace, const LinearKernels& kernels, int n_threads)
      : PlanStream(workspace), kernels_(kernels), n_threads_(n_threads) {}

  void linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias) override { linear(residual, x, w, bias); }
  void norm_linear(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) override {
    if (!fuses_norm(x, norm)) return Stream::norm_linear(out, x, norm, eps, w, bias);
    normalizes_ = true;
    linear(out, x, w, bias);
    normalizes_ = false;
  }
  void norm_linear_swiglu(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) override {
    if (!fuses_swiglu(out, x, norm)) return Stream::norm_linear_swiglu(out, x, norm, eps, w_gate_up);
    norm_linear(out, x, norm, eps, w_gate_up, {});
  }

  void attention(Tensor, Tensor q, const KvLayer&, const AttentionParams& params, const StepInputs& step) override {
    WorkspaceScope scope(workspace());
    const int64_t n_splits = std::max<int64_t>(1, (static_cast<int64_t>(step.max_pages) * kPageTokens - 1) / kSplitTokens + 1);
    const AttentionCut cut(params, n_splits, n_threads_);
    // Sequences apart fill their runs less; one long text fills them all.
    const int64_t n_tokens = q.n_rows, per_sequence = (n_tokens + step.n_sequences - 1) / std::max(step.n_sequences, 1);
    const int64_t n_runs = step.n_sequences * ((per_sequence + cut.tokens - 1) / cut.tokens);
    workspace().take(static_cast<uint64_t>(n_tokens) * sizeof(int32_t));  // at most that many runs
    workspace().take(static_cast<uint64_t>(cut.most_bytes(n_runs, n_splits, n_tokens, n_threads_)));
  }

 protected:
  void take_for_linear(int64_t n_tokens, const Weight& w) override {
    const LinearFormat* format = kernels_.find(w.dtype);
    if (!format) return PlanStream::take_for_linear(n_tokens, w);  // loading will refuse it
    const bool is_packed = !static_cast<const PlannedStorage&>(*w.storage).mapped;
    const PanelLayout layout(*format, w.n_rows, w.n_cols);
    const LinearScratchLayout at(*format, layout, is_packed, normalizes_, w.n_cols, std::min(n_tokens, kMaxLinearTokens),
                                 n_threads_);
    own(static_cast<uint64_t>(at.total_bytes));
  }

 private:
  const LinearKernels& kernels_;
  int n_threads_;
  bool normalizes_ = false;  // the product that is being planned
};

}  // namespace

uint64_t CpuDevice::loading_bytes() const {
  // The C library keeps each thread's buffer for the next matrix.
  return options_.low_memory ? 0 : static_cast<uint64_t>(kPackPieceBytes * pool_->size());
}

std::unique_ptr<PlanStream> CpuDevice::open_plan_stream(Workspace& workspace) const {
  return std::make_unique<CpuPlanStream>(workspace, kernels_.linear, pool_->size());
}

}  // namespace phial::cpu
