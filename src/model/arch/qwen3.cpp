// Qwen3 (dense). Source: Qwen3 technical report (arXiv 2505.09388), Hugging Face models/qwen3.
// As Qwen2 without the biases, with RMSNorm over each head of q and k before the rotation; head_dim is its own parameter.
#include "base/fail.h"
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
    {"blk.{i}.attn_q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight", Role::norm, shapes::head},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", Role::matrix, shapes::kv},
    {"blk.{i}.attn_k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight", Role::norm, shapes::head},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", Role::matrix, shapes::kv},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", Role::matrix, shapes::attn_output},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", Role::matrix, shapes::ffn_down},
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  return build_pre_norm_decoder(config, loader, {.qk_norm = true});
}

Config from_json(const Json& json) {
  Json own = json;
  if (own.is_object() && !own.contains("head_dim")) own["head_dim"] = 128;  // transformers' default, not hidden_size / n_heads
  Config config = config_from_json(own, "qwen3");
  if (config.attention_bias)
    fail(ErrorCode::unsupported, "config.json: attention_bias is true; biases are not supported for this architecture");
  config.qk_norm = true;
  return config;
}
Config from_metadata(const Metadata& metadata) {
  Config config = config_from_metadata(metadata, "qwen3");
  config.qk_norm = true;
  return config;
}

}  // namespace

extern const Architecture kQwen3;
const Architecture kQwen3{"qwen3", {"Qwen3ForCausalLM"}, kTensors, from_json, from_metadata, config_to_metadata, build};

}  // namespace phial
