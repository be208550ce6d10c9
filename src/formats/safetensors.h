// safetensors: single files and sharded checkpoints (model.safetensors.index.json).
// Source: the safetensors format description. No holes, no overlaps, no duplicate names; header at most 100 MB.
// Empty tensors may lie anywhere. Types Phial cannot compute with (U8, BOOL, F8_*...) are listed with foreign_type set, so
// that an unused buffer does not keep a checkpoint from loading; reading one throws UNSUPPORTED.
#pragma once

#include <string>

#include "base/json.h"
#include "formats/tensor_file.h"

namespace phial {

class SafetensorsFile : public TensorFile {
 public:
  /// One .safetensors file.
  static SafetensorsFile open(const std::string& path);
  /// A checkpoint folder: model.safetensors, or the shards its index names. Pickle files (.bin, .pth) are refused (FORMAT).
  /// Links may lead to files in the folder, and from a snapshot of the Hub's cache to its blobs; elsewhere is PATH.
  static SafetensorsFile open_folder(const std::string& folder);
  /// __metadata__ of the first file: text by text.
  const Json& header_metadata() const { return header_metadata_; }

 private:
  void add_file(const std::string& path);
  JsonTree header_metadata_;
};

}  // namespace phial
