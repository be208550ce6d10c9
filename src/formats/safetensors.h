// safetensors: single files and sharded checkpoints (model.safetensors.index.json).
// Source: the safetensors format description. No holes, no overlaps, no duplicate names; header at most 100 MB.
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
  static SafetensorsFile open_folder(const std::string& folder);
  /// For tests and fixtures: writes one file.
  const Json& header_metadata() const { return header_metadata_; }

 private:
  Json header_metadata_;
};

}  // namespace phial
