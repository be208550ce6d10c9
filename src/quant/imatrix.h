// Importance matrices: how strongly each input column of each weight is used, measured by running a model over text.
// Read from llama.cpp's two formats: GGUF (<weight>.in_sum2, <weight>.counts) and the older .dat.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/metadata.h"

namespace phial {

class ImportanceMatrix {
 public:
  /// Throws TRUNC, COUNT, SHAPE, NAN and what GGUF reading throws.
  static ImportanceMatrix open(const std::string& path);

  /// Keeps the entries whose name contains one of `include` (all, when empty) and none of `exclude`.
  void filter(const std::vector<std::string>& include, const std::vector<std::string>& exclude);
  /// Mean squared input of each column, for experts one run of columns after the other; nullptr when there is none.
  const std::vector<float>* find(const std::string& weight) const;
  size_t size() const { return entries_.size(); }
  /// Sets quantize.imatrix.*.
  void describe(Metadata& metadata) const;

 private:
  void add(const std::string& name, std::vector<float> values);
  std::string path_, dataset_;
  int64_t n_chunks_ = 0;
  std::unordered_map<std::string, std::vector<float>> entries_;
};

}  // namespace phial
