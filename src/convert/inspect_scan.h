// Reading all bytes of tensors once, on all cores: bad blocks, hashes, differences. Memory: a few pieces per core.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/tensor_file.h"

namespace phial {

struct TensorScan {
  uint64_t n_bad = 0;      // blocks (single values for plain types) that have a NaN or an infinity
  uint64_t first_bad = 0;  // the first of them
  uint64_t hash = 0;       // XXH64 of the bytes, seed 0
};

/// One result per tensor of the file, in its order. Tensors of foreign types are hashed but not checked.
std::vector<TensorScan> scan_tensors(const TensorFile& file, bool check, bool hash);

struct TensorPair {
  const TensorEntry* a;
  const TensorEntry* b;  // of the same shape
};

struct TensorDifference {
  bool identical = true;     // same type, same bytes
  uint64_t n_different = 0;  // values
  double max_abs = 0;        // largest |a - b|
  double rmse = 0;
  double relative = 0;  // sqrt(sum (a-b)^2 / sum a^2)
};

std::vector<TensorDifference> compare_tensors(const TensorFile& a, const TensorFile& b, const std::vector<TensorPair>& pairs);

}  // namespace phial
