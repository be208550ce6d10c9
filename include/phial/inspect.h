// Looking into a GGUF or safetensors file.
#pragma once

#include <string>

namespace phial {

struct InspectOptions {
  std::string path;
  std::string diff;        // a second file to compare with
  bool json = false;
  bool tensors = true;
  bool check = true;       // NaN and Inf in every block
  bool hash = false;       // one per tensor
  int max_array = 8;       // metadata arrays are shown up to this many elements
};

/// Text for a person, or JSON.
std::string inspect(const InspectOptions& options);

}  // namespace phial
