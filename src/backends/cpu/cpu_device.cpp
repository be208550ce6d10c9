// Loading of weights by use, and the opening of streams.
#include "backends/cpu/cpu_device.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/cpu_stream.h"
#include "base/checked.h"
#include "quant/codec.h"

namespace phial {
namespace cpu {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;  // read at once by one thread

}  // namespace

CpuDevice::CpuDevice(const DeviceOptions& options, const KernelTable& kernels)
    : options_(options), pool_(options.pool ? options.pool : std::make_shared<ThreadPool>()), kernels_(kernels) {}

std::string CpuDevice::description() const {
  return std::string(kernels_.description) + ", " + std::to_string(pool_->size()) + (pool_->size() == 1 ? " thread" : " threads");
}

Weight CpuDevice::load(const WeightSource& source, WeightUse use) {
  Weight w{source.name, source.dtype, source.n_rows, source.n_cols, nullptr};
  switch (use) {
    case WeightUse::table:
      w.storage = load_table(source);
      break;
    case WeightUse::vector:
      w.storage = load_vector(source);
      w.dtype = DType::f32;
      break;
    case WeightUse::matrix:
      w.storage = load_matrix(source);
      break;
  }
  return w;
}

std::shared_ptr<WeightStorage> CpuDevice::load_table(const WeightSource& source) {
  auto storage = std::make_shared<PlainStorage>();
  storage->row_bytes = row_bytes(source.dtype, static_cast<uint64_t>(source.n_cols));
  if (source.mapped_rows) {
    storage->mapped_rows = source.mapped_rows;
    return storage;
  }
  const uint64_t total = (CheckedSize(storage->row_bytes) * static_cast<uint64_t>(source.n_rows)).value();
  storage->memory = allocate_pages(total, options_.huge_pages);
  storage->data = storage->memory.get();
  storage->owned_bytes = total;
  const int64_t bytes = static_cast<int64_t>(storage->row_bytes);
  const int64_t piece = std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(bytes, 1));
  std::byte* to = storage->memory.get();
  pool_->parallel_for(source.n_rows, piece, [&](int64_t begin, int64_t end, int) {
    source.read_rows(begin, end - begin, {to + begin * bytes, static_cast<size_t>((end - begin) * bytes)});
  });
  return storage;
}

std::shared_ptr<WeightStorage> CpuDevice::load_vector(const WeightSource& source) {
  auto storage = std::make_shared<PlainStorage>();
  const uint64_t n = (CheckedSize(static_cast<uint64_t>(source.n_rows)) * static_cast<uint64_t>(source.n_cols)).value();
  storage->owned_bytes = (CheckedSize(n).aligned(16) * sizeof(float)).value();  // whole lanes, zeros beyond
  storage->row_bytes = storage->owned_bytes;
  storage->memory = allocate_pages(storage->owned_bytes, false);
  storage->data = storage->memory.get();
  std::vector<std::byte> bytes(
      (CheckedSize(row_bytes(source.dtype, static_cast<uint64_t>(source.n_cols))) * static_cast<uint64_t>(source.n_rows))
          .value());
  source.read_rows(0, source.n_rows, bytes);
  codec(source.dtype).decode(bytes.data(), reinterpret_cast<float*>(storage->memory.get()), static_cast<int64_t>(n));
  return storage;
}

std::unique_ptr<Stream> CpuDevice::open_stream(Workspace& workspace) {
  return std::make_unique<CpuStream>(workspace, *pool_, kernels_);
}

}  // namespace cpu

std::unique_ptr<Device> open_reference_device(const DeviceOptions& options);

std::unique_ptr<Device> open_cpu_device(const DeviceOptions& options) {
  if (options.isa == "reference") return open_reference_device(options);
  return std::make_unique<cpu::CpuDevice>(options);
}

}  // namespace phial
