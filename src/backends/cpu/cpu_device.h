// The CPU device: holds the kernels chosen, loads weights into the layout they read.
#pragma once

#include "backends/cpu/kernel_table.h"
#include "backends/cpu/weight_storage.h"
#include "tensor/registry.h"
#include "tensor/stream.h"

namespace phial::cpu {

class CpuDevice : public Device {
 public:
  /// Throws UNSUPPORTED where options.isa does not run.
  explicit CpuDevice(const DeviceOptions& options) : CpuDevice(options, kernel_table(options.isa)) {}
  CpuDevice(const DeviceOptions& options, const KernelTable& kernels);

  std::string name() const override { return "CPU"; }
  std::string description() const override;
  Weight load(const WeightSource& source, WeightUse use) override;
  uint64_t weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const override;
  uint64_t loading_bytes() const override;
  std::shared_ptr<std::byte> allocate(uint64_t n_bytes) override { return allocate_pages(n_bytes, options_.huge_pages); }
  std::unique_ptr<Stream> open_stream(Workspace& workspace) override;
  std::unique_ptr<PlanStream> open_plan_stream(Workspace& workspace) const override;

 private:
  std::shared_ptr<WeightStorage> load_table(const WeightSource& source);
  std::shared_ptr<WeightStorage> load_vector(const WeightSource& source);
  std::shared_ptr<WeightStorage> load_matrix(const WeightSource& source);

  DeviceOptions options_;
  std::shared_ptr<ThreadPool> pool_;
  const KernelTable& kernels_;
};

}  // namespace phial::cpu
