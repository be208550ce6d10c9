// Shapes that tensor tables share, as functions of the config. {} = the tensor does not exist for this config.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace phial::shapes {

using Shape = std::vector<int64_t>;

inline Shape vocabulary(const Config& c) { return {c.vocab_size, c.hidden_size}; }
inline Shape untied_vocabulary(const Config& c) { return c.tie_word_embeddings ? Shape{} : vocabulary(c); }
inline Shape hidden(const Config& c) { return {c.hidden_size}; }
inline Shape head(const Config& c) { return {c.head_dim}; }

inline Shape q(const Config& c) { return {c.n_heads * c.head_dim, c.hidden_size}; }
inline Shape kv(const Config& c) { return {c.n_kv_heads * c.head_dim, c.hidden_size}; }
inline Shape qkv(const Config& c) { return {(c.n_heads + 2 * c.n_kv_heads) * c.head_dim, c.hidden_size}; }
inline Shape q_bias(const Config& c) { return {c.n_heads * c.head_dim}; }
inline Shape kv_bias(const Config& c) { return {c.n_kv_heads * c.head_dim}; }
inline Shape q_bias_if_any(const Config& c) { return c.attention_bias ? q_bias(c) : Shape{}; }
inline Shape kv_bias_if_any(const Config& c) { return c.attention_bias ? kv_bias(c) : Shape{}; }
inline Shape hidden_bias_if_any(const Config& c) { return c.attention_bias ? hidden(c) : Shape{}; }
inline Shape attn_output(const Config& c) { return {c.hidden_size, c.n_heads * c.head_dim}; }

inline Shape ffn(const Config& c) { return {c.intermediate_size, c.hidden_size}; }
inline Shape gate_up(const Config& c) { return {2 * c.intermediate_size, c.hidden_size}; }
inline Shape ffn_down(const Config& c) { return {c.hidden_size, c.intermediate_size}; }

inline Shape short_factors(const Config& c) { return c.rope.short_factors.empty() ? Shape{} : Shape{c.rope.n_rot / 2}; }
inline Shape long_factors(const Config& c) { return c.rope.long_factors.empty() ? Shape{} : Shape{c.rope.n_rot / 2}; }

}  // namespace phial::shapes
