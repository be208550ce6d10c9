// Qwen2 and Qwen2.5. Source: Qwen2 technical report (arXiv 2407.10671), Hugging Face models/qwen2.
// As Llama, with biases on q, k and v, rotary halves (no permutation), and often tied embeddings.
#include "model/arch.h"
#include "model/pre_norm_layer.h"
#include "model/shapes.h"

namespace phial {
namespace {

constexpr TensorSpec kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", Role::embedding, shapes::vocabulary},
    {"output_norm.weight", "model.norm.weight", Role::norm, shapes::hidden},
    {"output.weight", "lm_head.weight", Role::output, shapes::untied_vocabulary},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", Role::matrix, shapes::q},
    {"blk.{i}.attn_q.bias", "model.layers.{i}.self_attn.q_proj.bias", Role::bias, shapes::q_bias},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", Role::matrix, shapes::kv},
    {"blk.{i}.attn_k.bias", "model.layers.{i}.self_attn.k_proj.bias", Role::bias, shapes::kv_bias},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", Role::matrix, shapes::kv},
    {"blk.{i}.attn_v.bias", "model.layers.{i}.self_attn.v_proj.bias", Role::bias, shapes::kv_bias},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", Role::matrix, shapes::attn_output},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", Role::matrix, shapes::ffn_down},
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  return build_pre_norm_decoder(config, loader, {.qkv_bias = true});
}

Config from_json(const Json& json) {
  Config config = config_from_json(json, "qwen2");
  config.attention_bias = true;  // not a choice of the configuration
  return config;
}
Config from_metadata(const Metadata& metadata) { return config_from_metadata(metadata, "qwen2"); }

}  // namespace

extern const Architecture kQwen2;
const Architecture kQwen2{"qwen2", {"Qwen2ForCausalLM"}, kTensors, from_json, from_metadata, config_to_metadata, build};

}  // namespace phial
