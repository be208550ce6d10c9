// Qwen2 and Qwen2.5. Source: Qwen2 technical report (arXiv 2407.10671), Hugging Face models/qwen2.
// As Llama, with biases on q, k and v, rotary halves (no permutation), and often tied embeddings.
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

struct Qwen2Layer final : DecoderLayer {
  Weight attn_norm, attn_output, ffn_norm, ffn_down;
  Linear attn_qkv, ffn_gate_up;
  Attention attn;
  float norm_eps = 0;

  void forward(Step& s, Tensor x, const KvLayer& kv) const override {
    Tensor qkv = norm_linear(s, x, attn_norm, norm_eps, attn_qkv);
    linear_add(s, x, attention(s, attn, qkv, kv), attn_output);
    linear_add(s, x, norm_swiglu(s, x, ffn_norm, norm_eps, ffn_gate_up), ffn_down);
  }
};

std::unique_ptr<DecoderModel> build(const Config& config, WeightLoader& loader) {
  auto model = build_decoder(config, loader);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    auto layer = std::make_unique<Qwen2Layer>();
    layer->norm_eps = model->norm_eps;
    layer->attn = attention_of(config);
    layer->attn_norm = loader.vector(blk + "attn_norm.weight");
    layer->attn_qkv = loader.stacked({blk + "attn_q.weight", blk + "attn_k.weight", blk + "attn_v.weight"},
                                     {blk + "attn_q.bias", blk + "attn_k.bias", blk + "attn_v.bias"});
    layer->attn_output = loader.matrix(blk + "attn_output.weight");
    layer->ffn_norm = loader.vector(blk + "ffn_norm.weight");
    layer->ffn_gate_up = loader.stacked({blk + "ffn_gate.weight", blk + "ffn_up.weight"});
    layer->ffn_down = loader.matrix(blk + "ffn_down.weight");
    model->layers.push_back(std::move(layer));
  }
  return model;
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
