// Pre-norm attention and gated feed-forward.
#include "model/pre_norm_layer.h"

#include "model/weights.h"
#include "nn/mlp.h"

namespace phial {
namespace {

struct PreNormLayer final : DecoderLayer {
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

std::vector<std::string> names(const std::string& blk, const std::vector<std::string>& parts, const char* suffix) {
  std::vector<std::string> out;
  for (const std::string& part : parts) out.push_back(blk + part + suffix);
  return out;
}

}  // namespace

std::unique_ptr<DecoderModel> build_pre_norm_decoder(const Config& config, WeightLoader& loader, const LayerParts& parts) {
  auto model = build_decoder(config, loader);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    auto layer = std::make_unique<PreNormLayer>();
    layer->norm_eps = model->norm_eps;
    layer->attn = attention_of(config);
    if (parts.qk_norm) {
      layer->attn.q_norm = loader.vector(blk + "attn_q_norm.weight");
      layer->attn.k_norm = loader.vector(blk + "attn_k_norm.weight");
    }
    layer->attn_norm = loader.vector(blk + "attn_norm.weight");
    layer->attn_qkv = loader.stacked(names(blk, parts.qkv, ".weight"),
                                     parts.qkv_bias ? names(blk, parts.qkv, ".bias") : std::vector<std::string>{});
    layer->attn_output = loader.matrix(blk + "attn_output.weight");
    if (parts.output_bias && loader.has(blk + "attn_output.bias"))
      layer->attn_output_bias = loader.vector(blk + "attn_output.bias");
    layer->ffn_norm = loader.vector(blk + "ffn_norm.weight");
    layer->ffn_gate_up = loader.stacked(names(blk, parts.gate_up, ".weight"));
    layer->ffn_down = loader.matrix(blk + "ffn_down.weight");
    model->layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace phial
