// Writes a 2-D f32 array as .npy (NumPy format 1.0), row by row; the file appears whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace phial {

class NpyWriter {
 public:
  NpyWriter(const std::string& path, int64_t n_rows, int64_t n_cols);
  ~NpyWriter();
  /// The next row; must have n_cols values.
  void row(std::span<const float> values);
  /// Throws INTERNAL when rows are missing.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace phial
