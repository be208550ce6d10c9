// The loop every decoder shares.
#include "model/decoder.h"

#include <cmath>

#include "model/weights.h"

namespace phial {

Tensor DecoderModel::forward(Step& s, std::span<const KvLayer> kv) const {
  Stream& stream = s.stream;
  Workspace& ws = stream.workspace();
  Tensor x = ws.tensor(s.inputs.n_tokens, token_embd.n_cols);
  get_rows(stream, x, token_embd, s.inputs.token_ids);
  for (size_t i = 0; i < layers.size(); ++i) {
    WorkspaceScope scope(ws);
    layers[i]->forward(s, x, kv[i]);
  }
  if (s.inputs.n_outputs == 0) return {};
  Tensor last = ws.tensor(s.inputs.n_outputs, x.n_cols);
  gather(stream, last, x, s.inputs.output_rows);
  Tensor logits = ws.tensor(s.inputs.n_outputs, output.n_rows);
  norm_linear(stream, logits, last, output_norm, norm_eps, output, {});
  return logits;
}

std::unique_ptr<DecoderModel> build_decoder(const Config& config, WeightLoader& loader) {
  auto model = std::make_unique<DecoderModel>();
  model->norm_eps = static_cast<float>(config.norm_eps);
  model->token_embd = loader.table("token_embd.weight", config.tie_word_embeddings);
  model->output_norm = loader.vector("output_norm.weight");
  model->output = loader.matrix(config.tie_word_embeddings ? "token_embd.weight" : "output.weight");
  return model;
}

Attention attention_of(const Config& config) {
  Attention a;
  a.params.n_heads = static_cast<int32_t>(config.n_heads);
  a.params.n_kv_heads = static_cast<int32_t>(config.n_kv_heads);
  a.params.head_dim = static_cast<int32_t>(config.head_dim);
  a.params.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  a.params.window = static_cast<int32_t>(config.sliding_window);
  a.rope = config.rope.kind;
  a.norm_eps = static_cast<float>(config.norm_eps);
  return a;
}

}  // namespace phial
