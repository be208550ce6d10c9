// An architecture: names, its config, ONE tensor table, and forward. Loader, converter, quantizer, planner and inspect
// all read the table; nothing else knows a model's name.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"

namespace phial {

class DecoderModel;  // model/decoder.h
class WeightLoader;  // model/weights.h

enum class Role { embedding, output, matrix, norm, bias, rope_factors };

/// What happens to a Hugging Face tensor on its way to GGUF.
enum class Transform {
  none,
  permute_q,   // rows of each head from halves to interleaved pairs (llama), n_heads heads
  permute_kv,  // the same with n_kv_heads heads
};

/// One row: `{i}` stands for the layer. Shape slowest axis first. A row whose `shape` gives {} does not exist for this config.
struct TensorSpec {
  const char* gguf;  // "blk.{i}.attn_qkv.weight"
  const char* hf;    // "model.layers.{i}.self_attn.qkv_proj.weight"; "" = made from the config (rope factors)
  Role role;
  std::vector<int64_t> (*shape)(const Config&);
  Transform transform = Transform::none;
  bool optional = false;
};

struct Architecture {
  const char* gguf_name;              // "phi3"
  std::vector<const char*> hf_names;  // {"Phi3ForCausalLM"}
  std::span<const TensorSpec> tensors;
  Config (*from_json)(const Json& config);            // config.json
  Config (*from_metadata)(const Metadata& metadata);  // GGUF
  void (*to_metadata)(const Config& config, Metadata& metadata);
  std::unique_ptr<DecoderModel> (*build)(const Config& config, WeightLoader& loader);
};

/// Registry: one line per architecture in registry.cpp. Both throw UNSUPPORTED, naming what there is.
const Architecture& architecture_by_gguf(const std::string& name);
const Architecture& architecture_by_hf(const std::string& name);
std::span<const Architecture* const> architectures();

/// The table with layers filled in, in file order: non-layer rows first, then layer by layer.
struct ExpectedTensor {
  std::string gguf, hf;
  std::vector<int64_t> shape;
  const TensorSpec* spec;
  int layer;  // -1 = none
};
std::vector<ExpectedTensor> expected_tensors(const Architecture& arch, const Config& config);

}  // namespace phial
