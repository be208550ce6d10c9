// The range check every model passes before any tensor or vocabulary code sees it. Limits are wide enough for any known
// decoder and narrow enough that products of two values fit 64 bits.
#include "model/config.h"

#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/fail.h"

namespace phial {
namespace {

constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxPosition = std::numeric_limits<int32_t>::max();

/// `key` gives both spellings, GGUF's and Hugging Face's: the reader of the error may hold either file.
void check_integer(std::string_view key, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    fail(ErrorCode::hparam, "model parameter {} is {}; it must lie in {}..{}: the file is damaged or not of this architecture",
         key, value, low, high);
}

void check_real(std::string_view key, double value, double high) {
  if (!(std::isfinite(value) && value > 0 && value <= high))
    fail(ErrorCode::hparam, "model parameter {} is {}; it must be positive and at most {}", key, value, high);
}

void check_factors(std::string_view key, const std::vector<float>& factors, int32_t n_rot) {
  if (factors.empty()) return;
  if (factors.size() != static_cast<size_t>(n_rot / 2))
    fail(ErrorCode::hparam, "{} has {} values; rope over {} dimensions needs {}", key, factors.size(), n_rot, n_rot / 2);
  for (float f : factors) check_real(key, f, 1e9);
}

}  // namespace

void validate(const Config& c) {
  check_integer("block_count (num_hidden_layers)", c.n_layers, 1, kMaxLayers);
  check_integer("embedding_length (hidden_size)", c.hidden_size, 1, 1 << 20);
  check_integer("feed_forward_length (intermediate_size)", c.intermediate_size, 1, 1 << 24);
  check_integer("attention.head_count (num_attention_heads)", c.n_heads, 1, 1 << 14);
  check_integer("attention.head_count_kv (num_key_value_heads)", c.n_kv_heads, 1, c.n_heads);
  if (c.n_heads % c.n_kv_heads != 0)
    fail(ErrorCode::hparam,
         "attention.head_count (num_attention_heads) {} is not a multiple of attention.head_count_kv "
         "(num_key_value_heads) {}",
         c.n_heads, c.n_kv_heads);
  check_integer("attention.key_length (head_dim)", c.head_dim, 1, 4096);
  // 0 = the GGUF has neither a vocab_size nor tokens; the vocabulary's reader reports that by its own code.
  check_integer("vocab_size", c.vocab_size, 0, 1 << 24);
  check_integer("context_length (max_position_embeddings)", c.max_position_embeddings, 1, kMaxPosition);
  check_integer("attention.sliding_window (sliding_window)", c.sliding_window, 0, kMaxPosition);
  check_real("attention.layer_norm_rms_epsilon (rms_norm_eps)", c.norm_eps, 1.0);

  const RopeConfig& r = c.rope;
  check_integer("rope.dimension_count (head_dim * partial_rotary_factor)", r.n_rot, 2, c.head_dim);
  if (r.n_rot % 2 != 0) fail(ErrorCode::hparam, "rope.dimension_count is {}; it must be even", r.n_rot);
  check_real("rope.freq_base (rope_theta)", r.theta, 1e15);
  constexpr std::array<std::string_view, 5> kScalings{"none", "linear", "yarn", "longrope", "llama3"};
  bool known = false;
  for (std::string_view s : kScalings) known |= s == r.scaling;
  if (!known)
    fail(ErrorCode::unsupported, "rope scaling type '{}' is not supported; there are none, linear, yarn, longrope and llama3",
         printable(r.scaling));
  check_real("rope.scaling.factor", r.factor, 1e9);
  check_real("rope.scaling.attn_factor", r.attention_factor, 1e4);
  check_integer("rope.scaling.original_context_length", r.original_context, 0, kMaxPosition);
  check_real("rope.scaling.yarn_beta_fast", r.yarn_beta_fast, 1e6);
  check_real("rope.scaling.yarn_beta_slow", r.yarn_beta_slow, 1e6);
  check_factors("rope_factors_short (short_factor)", r.short_factors, r.n_rot);
  check_factors("rope_factors_long (long_factor)", r.long_factors, r.n_rot);
  if (!r.long_factors.empty() && r.short_factors.empty())
    fail(ErrorCode::hparam, "the model has long rope factors but no short ones; LongRoPE needs both");
}

}  // namespace phial
