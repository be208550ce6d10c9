// Rotary positions: which angle each pair of dimensions turns by, for every scaling rule.
// Source: RoFormer (arXiv 2104.09864), YaRN (arXiv 2309.00071), LongRoPE (arXiv 2402.13753); f32 as Hugging Face computes it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/stream.h"

namespace phial {

struct RopeConfig {
  RopeKind kind = RopeKind::neox;
  int32_t n_rot = 0;  // dimensions rotated, <= head_dim
  double theta = 10000.0;
  std::string scaling = "none";  // none, linear, yarn, longrope, llama3
  double factor = 1.0;
  double attention_factor = 1.0;     // cos and sin are multiplied by it
  int64_t original_context = 0;      // original_max_position_embeddings; 0 = max_position_embeddings
  std::vector<float> short_factors;  // [n_rot / 2] divisors of the frequencies; empty = ones
  std::vector<float> long_factors;   // [n_rot / 2]; not empty = the set is chosen by each sequence's real length
  double yarn_beta_fast = 32, yarn_beta_slow = 1;
};

class RopeTable {
 public:
  /// original_context: the config's, or max_position_embeddings when it has none.
  RopeTable(const RopeConfig& config, int64_t original_context);

  int32_t n_rot() const { return n_rot_; }
  /// The set of a sequence of this length: 1 (long) beyond the original context if there are long factors, else 0.
  int32_t set_for(int64_t length) const;
  /// row[n_rot]: n_rot/2 cosines, then n_rot/2 sines.
  void fill(float* row, int64_t position, int32_t set) const;

 private:
  int32_t n_rot_;
  int64_t original_context_;
  bool has_long_;
  float attention_factor_;
  std::array<std::vector<float>, 2> frequencies_;
};

}  // namespace phial
