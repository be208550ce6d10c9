// Multi-head attention with grouped keys, rotary positions and the paged cache.
#pragma once

#include "nn/step.h"

namespace phial {

struct Attention {
  AttentionParams params;
  RopeKind rope = RopeKind::neox;
  Weight q_norm, k_norm;  // over each head before the rotation; empty = none
  float norm_eps = 0;
};

/// qkv [n_tokens, (n_heads + 2 n_kv_heads) head_dim], columns q | k | v -> [n_tokens, n_heads head_dim] from the workspace.
/// q and k are normed and rotated in place.
Tensor attention(Step& s, const Attention& a, Tensor qkv, const KvLayer& kv);

}  // namespace phial
