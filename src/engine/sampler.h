// The sampler of one sequence: logit bias, then the chain of SamplerParams::samplers, then the draw.
// Order, names and defaults are llama.cpp's; mirostat and adaptive-p replace the draw as they do there.
// The same parameters, seed, logits and accepted tokens give the same ids on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "engine/candidates.h"
#include "phial/sampler.h"

namespace phial {

class Tokenizer;

/// What the sampler knows of the vocabulary.
struct SamplerVocab {
  std::vector<int32_t> end_of_generation;     // for ignore_eos
  std::function<std::string(int32_t)> piece;  // text of a token, for DRY's sequence breakers
};

SamplerVocab sampler_vocab(std::shared_ptr<const Tokenizer> tokenizer);

class Sampler {
 public:
  /// Throws ARGUMENT for an unknown sampler name or a parameter out of range.
  Sampler(const SamplerParams& params, SamplerVocab vocab);
  Sampler(const SamplerParams& params, std::shared_ptr<const Tokenizer> tokenizer)
      : Sampler(params, sampler_vocab(std::move(tokenizer))) {}

  /// Chooses the next token. Throws NUMERICAL for NaN or +inf among the logits, ARGUMENT when every token is masked.
  int32_t sample(std::span<const float> logits);
  /// Makes a token (of the prompt or chosen) part of the history that penalties and DRY look at.
  void accept(int32_t id);
  /// Back to the state after construction, same seed.
  void reset();
  uint32_t seed() const { return seed_; }

  enum class Step { penalties, dry, top_n_sigma, top_k, typical, top_p, min_p, xtc, temperature, adaptive_p };

 private:
  void apply_penalties(std::span<float> logits) const;
  void apply_dry(std::span<float> logits);
  size_t dry_reach();
  const std::string& piece(int32_t id);
  int32_t draw();
  int32_t draw_mirostat1(size_t n_vocab);
  int32_t draw_mirostat2();
  int32_t draw_adaptive();
  bool changes_logits(Step step) const;
  void apply(Step step);

  SamplerParams params_;
  SamplerVocab vocab_;
  std::vector<Step> chain_;
  uint32_t seed_ = 0;
  Rng rng_;
  std::vector<int32_t> history_;
  std::vector<float> logits_;
  Candidates candidates_;
  std::unordered_map<int32_t, std::string> pieces_;
  double mu_ = 0;                                  // mirostat
  double adaptive_sum_ = 0, adaptive_weight_ = 0;  // adaptive-p's moving average
};

/// The chain that a `samplers` text names. Throws ARGUMENT.
std::vector<Sampler::Step> parse_samplers(const std::string& text);

}  // namespace phial
