// The reference device: ordinary memory, weights as the file has them.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "backends/reference/reference_stream.h"
#include "base/checked.h"
#include "quant/codec.h"
#include "tensor/registry.h"

namespace phial {
namespace {

class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return "reference"; }
  std::string description() const override { return "plain loops, 1 thread"; }

  uint64_t weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const override {
    const uint64_t row = use == WeightUse::vector ? static_cast<uint64_t>(n_cols) * sizeof(float) : row_bytes(dtype, n_cols);
    return (CheckedSize(n_rows) * row).value();
  }

  Weight load(const WeightSource& source, WeightUse use) override {
    std::vector<std::byte> bytes(weight_bytes(source.dtype, source.n_rows, source.n_cols, WeightUse::matrix));
    source.read_rows(0, source.n_rows, bytes);
    if (use == WeightUse::vector && source.dtype != DType::f32) {
      const int64_t n = source.n_rows * source.n_cols;
      std::vector<std::byte> values(n * sizeof(float));
      codec(source.dtype).decode(bytes.data(), reinterpret_cast<float*>(values.data()), n);
      bytes = std::move(values);
    }
    return {source.name, source.dtype, source.n_rows, source.n_cols, std::make_shared<ReferenceWeight>(std::move(bytes))};
  }

  std::shared_ptr<std::byte> allocate(uint64_t n_bytes) override {
    // calloc: large blocks come zeroed from the system and cost nothing until they are touched.
    std::size_t room = (CheckedSize(n_bytes ? n_bytes : 1) + 64).value();
    void* memory = std::calloc(room, 1);
    if (!memory) fail(ErrorCode::no_memory, "{} bytes of memory wanted; use a smaller context or model", n_bytes);
    void* aligned = memory;
    std::align(64, n_bytes, aligned, room);
    return {static_cast<std::byte*>(aligned), [memory](std::byte*) { std::free(memory); }};
  }

  std::unique_ptr<Stream> open_stream(Workspace& workspace) override { return std::make_unique<ReferenceStream>(workspace); }
};

}  // namespace

std::unique_ptr<Device> open_reference_device(const DeviceOptions&) { return std::make_unique<ReferenceDevice>(); }

}  // namespace phial
