// Properties of a decoder-only model, in Hugging Face's words. Architectures fill it; shared code reads only this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/metadata.h"
#include "nn/rope.h"

namespace phial {

struct Config {
  std::string architecture;  // GGUF name: "phi3"
  std::string name;          // general.name
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  int64_t sliding_window = 0;  // 0 = none
  double norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool qk_norm = false;
  RopeConfig rope;
};

/// Throws HPARAM naming the key for every value out of range; run before any tensor or vocabulary code.
void validate(const Config& config);

/// GGUF keys <-> Config, for what all architectures share.
Config config_from_metadata(const Metadata& m, const std::string& architecture);
void config_to_metadata(const Config& config, Metadata& m);

/// config.json -> Config, for what all architectures share (rope_scaling and rope_parameters spellings alike).
Config config_from_json(const Json& config, const std::string& architecture);

}  // namespace phial
