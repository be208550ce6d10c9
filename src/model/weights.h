// Weights from a GGUF file onto a device: the architecture's table checked against the file, then loaded piece by piece.
// Peak memory beside the weights is one piece per thread; with low_memory the bytes stay in the file's map.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "model/arch.h"
#include "nn/linear.h"
#include "phial/progress.h"

namespace phial {

/// What only the tensors tell: tied embeddings, biases, norms of q and k, rope factors. Throws TENSOR, HPARAM.
void complete_config(const TensorFile& file, Config& config);

/// Throws TENSOR when a tensor of the table is missing, has another shape or a type that cannot be computed with.
void check_tensors(const TensorFile& file, const Architecture& arch, const Config& config);

struct LoadOptions {
  bool low_memory = false;    // keep weights in the file's map
  bool check_values = false;  // NaN or Inf in a weight throws NAN; otherwise they are counted
  ProgressFn progress;
};

class WeightLoader {
 public:
  WeightLoader(const TensorFile& file, Device& device, LoadOptions options = {});
  ~WeightLoader();

  Weight matrix(const std::string& name);
  /// Rows looked up. `mapped`: they stay in the file's map even when weights are loaded, since another weight holds them too.
  Weight table(const std::string& name, bool mapped = false);
  Weight vector(const std::string& name);  // norms and biases, f32
  /// The rows of several tensors as one matrix: one weight for each run of tensors of the same format.
  /// biases: names as `names`, or none.
  Linear stacked(const std::vector<std::string>& names, const std::vector<std::string>& biases = {});

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  uint64_t n_bytes() const { return n_bytes_; }  // on the device
  int64_t n_non_finite() const;                  // tensors with NaN or Inf
  const std::string& first_non_finite() const;
  /// The maps that weights point into: they live as long as the weights.
  std::vector<std::shared_ptr<MappedFile>> maps() const;

 private:
  struct Findings;
  const TensorEntry& entry(const std::string& name) const;
  Weight load(const std::vector<const TensorEntry*>& tensors, WeightUse use, bool mapped);
  const std::byte* map_of(const TensorEntry& tensor);

  const TensorFile& file_;
  Device& device_;
  LoadOptions options_;
  std::vector<std::shared_ptr<MappedFile>> maps_;  // of the files, null where nothing is mapped
  std::shared_ptr<Findings> findings_;
  uint64_t n_bytes_ = 0, n_done_ = 0, n_total_ = 0;
};

}  // namespace phial
