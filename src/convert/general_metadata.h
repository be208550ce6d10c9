// general.* keys of the output: what the checkpoint says about itself, and the user's overrides.
#pragma once

#include <cstdint>
#include <string>

#include "convert/checkpoint.h"

namespace phial {

/// architecture, type, name, size label and what the model card (README.md's head) says of licence, languages and tags.
void describe_model(const Checkpoint& checkpoint, const std::string& model_name, uint64_t n_parameters, Metadata& metadata);

/// "3.8B", "135M": two digits at least.
std::string size_label(uint64_t n_parameters);

/// Keys of a JSON object into the metadata: a key that is there keeps its type, null removes it. Throws ARGUMENT.
void apply_metadata_json(const Json& json, const std::string& where, Metadata& metadata);

}  // namespace phial
