// The dry run of a forward: operations that compute nothing and count what they would take. A model built on a PlanDevice and
// run on a plan stream tells its weights, workspace and work, so the plan cannot drift from the model.
// A backend whose operations take other room than the default bodies derives its own PlanStream.
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

  /// Of weights that stay in the file's map: matrices are read whole by every step, of tables only the rows looked up.
  uint64_t mapped_matrix_bytes() const { return mapped_matrix_bytes_; }
  uint64_t mapped_table_bytes() const { return mapped_table_bytes_; }
  uint64_t mapped_row_bytes() const { return mapped_row_bytes_; }  // of one row of a mapped table

 private:
  const Device& real_;
  uint64_t mapped_matrix_bytes_ = 0, mapped_table_bytes_ = 0, mapped_row_bytes_ = 0;
};

class PlanStream : public Stream {
 public:
  explicit PlanStream(Workspace& workspace) : Stream(workspace) {}

  /// Multiplications and additions of the matrix products so far; attention is left out, it depends on the text's length.
  uint64_t n_flops() const { return n_flops_; }
  /// What the stream keeps for itself beside the workspace.
  uint64_t own_bytes() const { return own_bytes_; }

  void get_rows(Tensor, const Weight&, const int32_t*) override {}
  void gather(Tensor, Tensor, const int32_t*) override {}
  void rms_norm(Tensor, Tensor, const Weight&, float) override {}
  void linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) final;
  void add(Tensor, Tensor, Tensor) override {}
  void swiglu(Tensor, Tensor, Tensor) override {}
  void rope(Tensor, int32_t, RopeKind, Tensor) override {}
  void kv_store(const KvLayer&, Tensor, Tensor, const StepInputs&) override {}
  void attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) override;

 protected:
  /// Takes from the workspace, or keeps with own(), what the product of n_tokens rows takes.
  virtual void take_for_linear(int64_t n_tokens, const Weight& w);
  void own(uint64_t n_bytes) { own_bytes_ = n_bytes > own_bytes_ ? n_bytes : own_bytes_; }

 private:
  uint64_t n_flops_ = 0, own_bytes_ = 0;
};

/// A weight of a dry run.
struct PlannedStorage : WeightStorage {
  PlannedStorage(uint64_t n, bool is_mapped) : bytes(n), mapped(is_mapped) {}
  uint64_t n_bytes() const override { return bytes; }
  uint64_t bytes;
  bool mapped;  // stays in the file's map
};

}  // namespace phial
