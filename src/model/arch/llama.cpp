// Llama 1 to 3.x and Mistral. Source: Llama (arXiv 2302.13971), Llama 3 (arXiv 2407.21783), Mistral 7B (arXiv 2310.06825),
// Hugging Face models/llama and models/mistral. GGUF keeps q and k with interleaved rotary pairs, so the rows of each head
// are permuted on the way from Hugging Face; Llama 3.1's frequency divisors travel as rope_freqs.weight.
#include "model/arch.h"
#include "model/pre_norm_layer.h"
#include "model/shapes.h"

namespace phial {
namespace {

constexpr TensorSpec kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", Role::embedding, shapes::vocabulary},
    {"output_norm.weight", "model.norm.weight", Role::norm, shapes::hidden},
    {"output.weight", "lm_head.weight", Role::output, shapes::untied_vocabulary},
    {"rope_freqs.weight", "", Role::rope_factors, shapes::short_factors},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", Role::matrix, shapes::q, Transform::permute_q},
    {"blk.{i}.attn_q.bias", "model.layers.{i}.self_attn.q_proj.bias", Role::bias, shapes::q_bias_if_any, Transform::permute_q},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", Role::matrix, shapes::kv, Transform::permute_kv},
    {"blk.{i}.attn_k.bias", "model.layers.{i}.self_attn.k_proj.bias", Role::bias, shapes::kv_bias_if_any, Transform::permute_kv},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", Role::matrix, shapes::kv},
    {"blk.{i}.attn_v.bias", "model.layers.{i}.self_attn.v_proj.bias", Role::bias, shapes::kv_bias_if_any},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", Role::matrix, shapes::attn_output},
    {"blk.{i}.attn_output.bias", "model.layers.{i}.self_attn.o_proj.bias", Role::bias, shapes::hidden_bias_if_any,
     Transform::none, true},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", Role::norm, shapes::hidden},
    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight", Role::matrix, shapes::ffn},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", Role::matrix, shapes::ffn_down},
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  return build_pre_norm_decoder(config, loader, {.qkv_bias = config.attention_bias, .output_bias = config.attention_bias});
}

Config with_interleaved_rope(Config config) {
  config.rope.kind = RopeKind::interleaved;
  return config;
}

Config from_json(const Json& json) { return with_interleaved_rope(config_from_json(json, "llama")); }
Config from_metadata(const Metadata& metadata) { return with_interleaved_rope(config_from_metadata(metadata, "llama")); }

}  // namespace

extern const Architecture kLlama;
const Architecture kLlama{
    "llama", {"LlamaForCausalLM", "MistralForCausalLM"}, kTensors, from_json, from_metadata, config_to_metadata, build};

}  // namespace phial
