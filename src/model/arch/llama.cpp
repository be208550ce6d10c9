// Llama 1 to 3.x and Mistral. Source: Llama (arXiv 2302.13971), Llama 3 (arXiv 2407.21783), Mistral 7B (arXiv 2310.06825),
// Hugging Face models/llama and models/mistral. GGUF keeps q and k with interleaved rotary pairs, so the rows of each head
// are permuted on the way from Hugging Face; Llama 3.1's frequency divisors travel as rope_freqs.weight.
#include "model/arch.h"
#include "model/decoder.h"
#include "model/shapes.h"
#include "model/weights.h"
#include "nn/attention.h"
#include "nn/mlp.h"

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

struct LlamaLayer final : DecoderLayer {
  Weight attn_norm, attn_output, attn_output_bias, ffn_norm, ffn_down;
  Linear attn_qkv, ffn_gate_up;
  Attention attn;
  float norm_eps = 0;

  void forward(Step& s, Tensor x, const KvLayer& kv) const override {
    Tensor qkv = norm_linear(s, x, attn_norm, norm_eps, attn_qkv);
    linear_add(s, x, attention(s, attn, qkv, kv), attn_output, attn_output_bias);
    linear_add(s, x, norm_swiglu(s, x, ffn_norm, norm_eps, ffn_gate_up), ffn_down);
  }
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  auto model = build_decoder(config, loader);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    auto layer = std::make_unique<LlamaLayer>();
    layer->norm_eps = model->norm_eps;
    layer->attn = attention_of(config);
    layer->attn_norm = loader.vector(blk + "attn_norm.weight");
    std::vector<std::string> biases;
    if (config.attention_bias) biases = {blk + "attn_q.bias", blk + "attn_k.bias", blk + "attn_v.bias"};
    layer->attn_qkv = loader.stacked({blk + "attn_q.weight", blk + "attn_k.weight", blk + "attn_v.weight"}, biases);
    layer->attn_output = loader.matrix(blk + "attn_output.weight");
    if (loader.has(blk + "attn_output.bias")) layer->attn_output_bias = loader.vector(blk + "attn_output.bias");
    layer->ffn_norm = loader.vector(blk + "ffn_norm.weight");
    layer->ffn_gate_up = loader.stacked({blk + "ffn_gate.weight", blk + "ffn_up.weight"});
    layer->ffn_down = loader.matrix(blk + "ffn_down.weight");
    model->layers.push_back(std::move(layer));
  }
  return model;
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
