// A decoder-only transformer: embedding, layers, final norm, output head. Architectures bring their layer.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/config.h"
#include "nn/attention.h"

namespace phial {

class DecoderLayer {
 public:
  virtual ~DecoderLayer() = default;
  /// Updates the residual stream x [n_tokens, hidden_size] in place.
  virtual void forward(Step& s, Tensor x, const KvLayer& kv) const = 0;
};

class DecoderModel {
 public:
  Weight token_embd;
  Weight output_norm;
  Weight output;  // token_embd's tensor when the embeddings are tied
  std::vector<std::unique_ptr<DecoderLayer>> layers;
  float norm_eps = 0;

  /// One step: logits [n_outputs, vocab_size] of the step's output rows; an empty tensor when there are none.
  Tensor forward(Step& s, std::span<const KvLayer> kv) const;
};

class WeightLoader;

/// What all decoders have: embedding, final norm, output head. The layers are the architecture's.
std::unique_ptr<DecoderModel> build_decoder(const Config& config, WeightLoader& loader);

/// Attention by the config's properties; q_norm and k_norm are left empty.
Attention attention_of(const Config& config);

}  // namespace phial
