// A Hugging Face checkpoint folder matched against its architecture's tensor table.
#pragma once

#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "model/arch.h"

namespace phial {

/// config.json read and checked; no tensor is looked at yet.
struct Checkpoint {
  std::string folder;  // without a trailing slash
  std::string folder_name;
  JsonTree json;
  const Architecture* architecture = nullptr;
  Config config;
};

/// Throws NOTFOUND, UNSUPPORTED (naming the known architectures), HPARAM.
Checkpoint open_checkpoint(const std::string& path);

/// One tensor to write: what the table asks for, and where its values come from.
struct SourceTensor {
  ExpectedTensor expected;
  const TensorEntry* entry = nullptr;  // nullptr: `values`
  std::vector<float> values;           // made from the config (rope factors)

  DType dtype() const { return entry ? entry->dtype : DType::f32; }
};

struct MatchedTensors {
  std::vector<SourceTensor> tensors;  // in the table's order
  std::vector<std::string> unused;    // of the checkpoint: not in the table and not known to be redundant
};

/// Throws TENSOR for a missing tensor, another shape or a type that holds no floats.
MatchedTensors match_tensors(const Checkpoint& checkpoint, const SafetensorsFile& file);

}  // namespace phial
