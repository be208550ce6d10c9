// The attention block between the qkv product and the output product.
#include "nn/attention.h"

namespace phial {

Tensor attention(Step& s, const Attention& a, Tensor qkv, const KvLayer& kv) {
  const int64_t n_q = static_cast<int64_t>(a.params.n_heads) * a.params.head_dim;
  const int64_t n_kv = static_cast<int64_t>(a.params.n_kv_heads) * a.params.head_dim;
  Tensor q = qkv.columns(0, n_q);
  Tensor k = qkv.columns(n_q, n_kv);
  Tensor v = qkv.columns(n_q + n_kv, n_kv);
  if (a.q_norm) rms_norm(s.stream, q, q, a.q_norm, a.norm_eps);
  if (a.k_norm) rms_norm(s.stream, k, k, a.k_norm, a.norm_eps);
  Tensor out = s.stream.workspace().tensor(qkv.n_rows, n_q);
  rope_attention(s.stream, out, q, k, v, a.rope, s.cos_sin, kv, a.params, s.inputs);
  return out;
}

}  // namespace phial
