// Looking into a GGUF or safetensors file.
#pragma once

#include <string>

namespace phial {

struct InspectOptions {
  std::string path;  // a .gguf (the first shard of a split one), a .safetensors or a checkpoint's folder
  std::string diff;  // a second file to compare with
  bool json = false;
  bool tensors = true;
  bool check = true;    // NaN and Inf in every block
  bool strict = false;  // NaN or Inf throws NAN instead of being reported
  bool hash = false;    // XXH64 of each tensor's bytes
  int max_array = 8;    // metadata arrays are shown up to this many elements
};

/// Text for a person, or JSON: metadata, tensors, totals per type, NaN and Inf, and whether the tensors are those the
/// architecture asks for. With `diff`: what differs, for tensors of one shape with the error of b against a.
std::string inspect(const InspectOptions& options);

}  // namespace phial
