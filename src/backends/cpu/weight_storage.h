// What the CPU keeps of a weight.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "tensor/tensor.h"

namespace phial::cpu {

/// Memory straight from the system, aligned to 2 MiB when large, with huge pages asked for; zeroed. Throws NOMEM.
std::shared_ptr<std::byte> allocate_pages(uint64_t n_bytes, bool huge_pages);

/// A table (rows looked up, GGUF layout) or a vector (f32 values).
class PlainStorage : public WeightStorage {
 public:
  uint64_t n_bytes() const override { return owned_bytes; }
  const std::byte* row(int64_t r) const { return data ? data + r * row_bytes : mapped_rows(r); }
  const float* floats() const { return reinterpret_cast<const float*>(data); }

  std::shared_ptr<std::byte> memory;
  const std::byte* data = nullptr;  // null: rows lie in the file's map
  std::function<const std::byte*(int64_t)> mapped_rows;
  uint64_t row_bytes = 0, owned_bytes = 0;
};

inline const PlainStorage& plain(const Weight& w) { return static_cast<const PlainStorage&>(*w.storage); }
/// The values of a vector weight (norm, bias), or nullptr for none.
inline const float* vector_values(const Weight& w) { return w ? plain(w).floats() : nullptr; }

}  // namespace phial::cpu
