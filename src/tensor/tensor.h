// Views of step data (activations) and weights. A view owns nothing; a weight shares its storage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tensor/dtype.h"

namespace phial {

/// Activations: f32 [n_rows, n_cols], rows `stride` values apart, in the memory of a stream's device.
struct Tensor {
  float* data = nullptr;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
  int64_t stride = 0;

  float* row(int64_t i) const { return data + i * stride; }
  /// Columns [begin, begin + n) of each row.
  Tensor columns(int64_t begin, int64_t n) const { return {data + begin, n_rows, n, stride}; }
  Tensor rows(int64_t begin, int64_t n) const { return {data + begin * stride, n, n_cols, stride}; }
};

/// What a device keeps of a weight: the bytes in its own layout.
class WeightStorage {
 public:
  virtual ~WeightStorage() = default;
  virtual uint64_t n_bytes() const = 0;
};

/// A matrix [n_rows = out_features, n_cols = in_features], a vector (n_rows = 1) or nothing (empty).
struct Weight {
  std::string name;  // GGUF name, for errors
  DType dtype = DType::f32;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
  std::shared_ptr<WeightStorage> storage;

  explicit operator bool() const { return storage != nullptr; }
};

}  // namespace phial
