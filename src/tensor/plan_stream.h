// A dry run: a device that loads nothing and a stream that computes nothing. The real build and the real forward run on them,
// so what they count (weights, workspace, operations) cannot drift from the model.
#pragma once

#include "tensor/stream.h"

namespace phial {

class PlanDevice : public Device {
 public:
  /// Sizes are those of `real`, which must outlive this.
  explicit PlanDevice(const Device& real) : real_(real) {}

  std::string name() const override { return real_.name(); }
  std::string description() const override { return "dry run of " + real_.name(); }
  Weight load(const WeightSource& source, WeightUse use) override;
  uint64_t weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const override {
    return real_.weight_bytes(dtype, n_rows, n_cols, use);
  }
  std::shared_ptr<std::byte> allocate(uint64_t) override { return nullptr; }
  std::unique_ptr<Stream> open_stream(Workspace& workspace) override;

 private:
  const Device& real_;
};

class PlanStream : public Stream {
 public:
  explicit PlanStream(Workspace& workspace) : Stream(workspace) {}

  /// Multiplications and additions of the matrix products so far; attention is left out, it depends on the text's length.
  uint64_t n_flops() const { return n_flops_; }

  void get_rows(Tensor, const Weight&, const int32_t*) override {}
  void gather(Tensor, Tensor, const int32_t*) override {}
  void rms_norm(Tensor, Tensor, const Weight&, float) override {}
  void linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) override;
  void add(Tensor, Tensor, Tensor) override {}
  void swiglu(Tensor, Tensor, Tensor) override {}
  void rope(Tensor, int32_t, RopeKind, Tensor) override {}
  void kv_store(const KvLayer&, Tensor, Tensor, const StepInputs&) override {}
  void attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) override;

 private:
  uint64_t n_flops_ = 0;
};

}  // namespace phial
