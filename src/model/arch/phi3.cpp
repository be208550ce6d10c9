// Phi-3: Phi-3 mini and medium, Phi-3.5-mini, Phi-4, Phi-4-mini (text).
// Source: Phi-3 technical report (arXiv 2404.14219); LongRoPE (arXiv 2402.13753); Hugging Face models/phi3.
// qkv_proj holds the rows q | k | v, gate_up_proj the rows gate | up (stored as ffn_up). No biases.
#include <cmath>

#include "model/arch.h"
#include "model/pre_norm_layer.h"
#include "model/shapes.h"

namespace phial {
namespace {

constexpr TensorSpec kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", Role::embedding, shapes::vocabulary},
    {"output_norm.weight", "model.norm.weight", Role::norm, shapes::hidden},
    {"output.weight", "lm_head.weight", Role::output, shapes::untied_vocabulary},
    {"rope_factors_long.weight", "", Role::rope_factors, shapes::long_factors},
    {"rope_factors_short.weight", "", Role::rope_factors, shapes::short_factors},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.attn_qkv.weight", "model.layers.{i}.self_attn.qkv_proj.weight", Role::matrix, shapes::qkv},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", Role::matrix, shapes::attn_output},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.gate_up_proj.weight", Role::matrix, shapes::gate_up},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", Role::matrix, shapes::ffn_down},
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  return build_pre_norm_decoder(config, loader, {.qkv = {"attn_qkv"}, .gate_up = {"ffn_up"}});
}

Config from_json(const Json& json) { return config_from_json(json, "phi3"); }

Config from_metadata(const Metadata& metadata) {
  Config config = config_from_metadata(metadata, "phi3");
  RopeConfig& rope = config.rope;
  const auto max_position = static_cast<double>(config.max_position_embeddings),
             original = static_cast<double>(rope.original_context);
  if (!metadata.has("phi3.rope.scaling.attn_factor") && original > 1 && max_position > original)
    rope.attention_factor = std::sqrt(1 + std::log(max_position / original) / std::log(original));
  // The first conversions of the 4k models lack the key; their window is the only one of that length.
  if (!metadata.has("phi3.attention.sliding_window") && config.max_position_embeddings == 4096) config.sliding_window = 2047;
  return config;
}

void to_metadata(const Config& config, Metadata& metadata) {
  config_to_metadata(config, metadata);
  // llama.cpp wants both keys from every Phi-3; a window of 0 marks Phi-4 there.
  const int64_t original = config.rope.original_context ? config.rope.original_context : config.max_position_embeddings;
  metadata.set("phi3.rope.scaling.original_context_length", static_cast<uint32_t>(original));
  metadata.set("phi3.attention.sliding_window", static_cast<uint32_t>(config.sliding_window));
}

}  // namespace

extern const Architecture kPhi3;
const Architecture kPhi3{"phi3", {"Phi3ForCausalLM"}, kTensors, from_json, from_metadata, to_metadata, build};

}  // namespace phial
