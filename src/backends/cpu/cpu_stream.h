// The CPU's stream: each operation is one parallel region on the device's thread pool.
// A file per group of operations: linear.cpp, elementwise.cpp, attention.cpp.
#pragma once

#include <memory>

#include "backends/cpu/kernel_table.h"
#include "base/thread_pool.h"
#include "tensor/stream.h"

namespace phial::cpu {

struct LinearJob;
struct LinearScratch;

class CpuStream : public Stream {
 public:
  CpuStream(Workspace& workspace, ThreadPool& pool, const KernelTable& kernels);
  ~CpuStream() override;

  void get_rows(Tensor out, const Weight& table, const int32_t* ids) override;
  void gather(Tensor out, Tensor x, const int32_t* rows) override;
  void rms_norm(Tensor out, Tensor x, const Weight& weight, float eps) override;
  void linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) override;
  void add(Tensor out, Tensor a, Tensor b) override;
  void swiglu(Tensor out, Tensor gate, Tensor up) override;
  void rope(Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) override;
  void kv_store(const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) override;
  void attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) override;

  void linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias) override;
  void norm_linear(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) override;
  void norm_linear_swiglu(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) override;

 private:
  void run_linear(const LinearJob& job);
  void run_linear_block(const LinearJob& job, int64_t first_token, int64_t n_tokens);

  ThreadPool& pool_;
  const KernelTable& kernels_;
  std::unique_ptr<LinearScratch> linear_scratch_;
};

}  // namespace phial::cpu
