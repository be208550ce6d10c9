// Sampling parameters: llama.cpp's names, order and defaults.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace phial {

struct SamplerParams {
  uint32_t seed = 0xFFFFFFFF;  // 0xFFFFFFFF = a random one
  float temperature = 0.8f;    // <= 0: greedy
  int32_t top_k = 40;          // <= 0: all
  float top_p = 0.95f;
  float min_p = 0.05f;
  float typical_p = 1.0f;
  float top_n_sigma = -1.0f;
  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;
  float dynatemp_range = 0.0f;
  float dynatemp_exponent = 1.0f;
  int32_t repeat_last_n = 64;
  float repeat_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  float dry_multiplier = 0.0f;
  float dry_base = 1.75f;
  int32_t dry_allowed_length = 2;
  int32_t dry_penalty_last_n = 64;
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  int32_t mirostat = 0;
  float mirostat_tau = 5.0f;
  float mirostat_eta = 0.1f;
  float adaptive_target = -1.0f;
  float adaptive_decay = 0.9f;
  int32_t min_keep = 0;
  bool ignore_eos = false;
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::string samplers = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature";
};

/// llama.cpp's --sampler-seq letters ("edskypmxt", a = adaptive_p) as a `samplers` text. Throws ARGUMENT.
std::string samplers_from_letters(const std::string& letters);

}  // namespace phial
