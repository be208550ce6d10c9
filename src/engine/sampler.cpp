// See sampler.h. DRY is in sampler_dry.cpp.
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string_view>

#include "base/fail.h"

namespace phial {
namespace {

constexpr uint32_t kRandomSeed = 0xFFFFFFFF;
constexpr double kBitsPerNat = 1.4426950408889634;

struct StepName {
  const char* name;
  const char* other;  // a second spelling that people use
  char letter;
  Sampler::Step step;
};

constexpr StepName kStepNames[] = {
    {"penalties", "penalties", 'e', Sampler::Step::penalties},
    {"dry", "dry", 'd', Sampler::Step::dry},
    {"top_n_sigma", "top-n-sigma", 's', Sampler::Step::top_n_sigma},
    {"top_k", "top-k", 'k', Sampler::Step::top_k},
    {"typ_p", "typical", 'y', Sampler::Step::typical},
    {"top_p", "top-p", 'p', Sampler::Step::top_p},
    {"min_p", "min-p", 'm', Sampler::Step::min_p},
    {"xtc", "xtc", 'x', Sampler::Step::xtc},
    {"temperature", "temp", 't', Sampler::Step::temperature},
    {"adaptive_p", "adaptive-p", 'a', Sampler::Step::adaptive_p},
};

void require(bool ok, const char* what) {
  if (!ok) fail(ErrorCode::argument, "sampling parameter {}", what);
}

void check(const SamplerParams& p) {
  require(std::isfinite(p.temperature), "temperature must be a finite number");
  require(std::isfinite(p.top_p) && std::isfinite(p.min_p) && std::isfinite(p.typical_p),
          "top_p, min_p and typical_p must be finite numbers");
  require(std::isfinite(p.top_n_sigma), "top_n_sigma must be a finite number");
  require(std::isfinite(p.xtc_probability) && std::isfinite(p.xtc_threshold),
          "xtc_probability and xtc_threshold must be finite numbers");
  require(std::isfinite(p.dynatemp_range) && std::isfinite(p.dynatemp_exponent),
          "dynatemp_range and dynatemp_exponent must be finite numbers");
  require(std::isfinite(p.repeat_penalty) && p.repeat_penalty > 0, "repeat_penalty must be above 0");
  require(std::isfinite(p.frequency_penalty) && std::isfinite(p.presence_penalty),
          "frequency_penalty and presence_penalty must be finite numbers");
  require(std::isfinite(p.dry_multiplier) && std::isfinite(p.dry_base), "dry_multiplier and dry_base must be finite numbers");
  require(p.mirostat >= 0 && p.mirostat <= 2, "mirostat must be 0, 1 or 2");
  require(std::isfinite(p.mirostat_tau) && std::isfinite(p.mirostat_eta), "mirostat_tau and mirostat_eta must be finite numbers");
  require(std::isfinite(p.adaptive_target) && p.adaptive_decay >= 0 && p.adaptive_decay < 1,
          "adaptive_decay must be from 0 up to below 1");
  require(p.repeat_last_n >= -1 && p.dry_penalty_last_n >= -1, "repeat_last_n and dry_penalty_last_n must be -1 or more");
  for (const auto& [id, bias] : p.logit_bias)
    require(bias < std::numeric_limits<float>::infinity(), "logit_bias must be finite or -inf");
}

}  // namespace

std::vector<Sampler::Step> parse_samplers(const std::string& text) {
  std::vector<Sampler::Step> chain;
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = text.find(';', begin);
    if (end == std::string::npos) end = text.size();
    const std::string_view name = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (name.empty()) continue;
    const auto* row = std::find_if(std::begin(kStepNames), std::end(kStepNames),
                                   [&](const StepName& s) { return name == s.name || name == s.other; });
    if (row == std::end(kStepNames)) {
      fail(ErrorCode::argument,
           "unknown sampler '{}'; known: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature, adaptive_p",
           printable(name));
    }
    chain.push_back(row->step);
  }
  return chain;
}

std::string samplers_from_letters(const std::string& letters) {
  std::string text;
  for (const char letter : letters) {
    const auto* row =
        std::find_if(std::begin(kStepNames), std::end(kStepNames), [&](const StepName& s) { return letter == s.letter; });
    if (row == std::end(kStepNames)) {
      fail(ErrorCode::argument, "unknown sampler letter '{}' in the sequence; known: e d s k y p m x t a",
           printable({&letter, 1}));
    }
    if (!text.empty()) text += ';';
    text += row->name;
  }
  return text;
}

Sampler::Sampler(const SamplerParams& params, SamplerVocab vocab) : params_(params), vocab_(std::move(vocab)) {
  check(params_);
  chain_ = parse_samplers(params_.samplers);
  seed_ = params_.seed;
  if (seed_ == kRandomSeed) {
    std::random_device device;
    do {
      seed_ = device();
    } while (seed_ == kRandomSeed);
  }
  reset();
}

void Sampler::reset() {
  rng_.reseed(seed_);
  history_.clear();
  mu_ = 2.0 * params_.mirostat_tau;
  const double rest = 1.0 - params_.adaptive_decay;
  adaptive_sum_ = std::max(0.0f, params_.adaptive_target) / rest;
  adaptive_weight_ = 1.0 / rest;
}

void Sampler::accept(int32_t id) { history_.push_back(id); }

bool Sampler::changes_logits(Step step) const {
  if (step == Step::penalties) {
    return params_.repeat_last_n != 0 &&
           (params_.repeat_penalty != 1.0f || params_.frequency_penalty != 0.0f || params_.presence_penalty != 0.0f);
  }
  return step == Step::dry && params_.dry_multiplier != 0.0f && params_.dry_base >= 1.0f && params_.dry_penalty_last_n != 0;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (logits.empty()) fail(ErrorCode::argument, "no logits to sample from; decode at least one token first");
  if (logits_.size() != logits.size()) logits_.resize(logits.size());
  std::copy(logits.begin(), logits.end(), logits_.begin());
  const auto known = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < logits_.size(); };
  for (const auto& [id, bias] : params_.logit_bias) {
    if (!known(id))
      fail(ErrorCode::token, "logit bias names token {}, the vocabulary has {}; give an id of this model", id, logits_.size());
    logits_[static_cast<size_t>(id)] += bias;
  }
  if (params_.ignore_eos) {
    for (const int32_t id : vocab_.end_of_generation) {
      if (known(id)) logits_[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    }
  }
  if (params_.mirostat != 0) {
    candidates_.assign(logits_);
    candidates_.temperature(params_.temperature);
    if (params_.temperature <= 0) return candidates_[0].id;
    return params_.mirostat == 1 ? draw_mirostat1(logits.size()) : draw_mirostat2();
  }
  // Penalties work on the whole row of logits; candidates are made as late as possible.
  size_t i = 0;
  for (; i < chain_.size() && (chain_[i] == Step::penalties || chain_[i] == Step::dry || chain_[i] == Step::adaptive_p); ++i) {
    if (chain_[i] == Step::penalties && changes_logits(chain_[i])) apply_penalties(logits_);
    if (chain_[i] == Step::dry && changes_logits(chain_[i])) apply_dry(logits_);
  }
  while (i < chain_.size() && chain_[i] == Step::top_n_sigma && params_.top_n_sigma <= 0) ++i;
  if (params_.temperature <= 0 && i == chain_.size()) {
    candidates_.assign_top_k(logits_, 1);
    return candidates_[0].id;
  }
  if (i < chain_.size() && chain_[i] == Step::top_k) {
    candidates_.assign_top_k(logits_, params_.top_k);
    ++i;
  } else {
    candidates_.assign(logits_);
  }
  for (; i < chain_.size(); ++i) apply(chain_[i]);
  if (params_.temperature <= 0) return candidates_[candidates_.best()].id;
  const bool adaptive = std::find(chain_.begin(), chain_.end(), Step::adaptive_p) != chain_.end();
  return adaptive && params_.adaptive_target >= 0 ? draw_adaptive() : draw();
}

void Sampler::apply(Step step) {
  const size_t min_keep = static_cast<size_t>(std::max(params_.min_keep, 0));
  switch (step) {
    case Step::penalties:
    case Step::dry: {
      if (!changes_logits(step)) return;
      // Late in the chain: through a row of logits that holds only the candidates that are left.
      std::fill(logits_.begin(), logits_.end(), -std::numeric_limits<float>::infinity());
      for (const Candidate& c : candidates_.all()) logits_[static_cast<size_t>(c.id)] = c.logit;
      if (step == Step::penalties) apply_penalties(logits_);
      if (step == Step::dry) apply_dry(logits_);
      candidates_.assign(logits_);
      return;
    }
    case Step::top_n_sigma:
      candidates_.top_n_sigma(params_.top_n_sigma);
      return;
    case Step::top_k:
      candidates_.top_k(params_.top_k);
      return;
    case Step::typical:
      candidates_.typical(params_.typical_p, min_keep);
      return;
    case Step::top_p:
      candidates_.top_p(params_.top_p, min_keep);
      return;
    case Step::min_p:
      candidates_.min_p(params_.min_p, min_keep);
      return;
    case Step::xtc:
      if (params_.xtc_probability <= 0 || params_.xtc_threshold > 0.5f || candidates_.size() < 2) return;
      if (rng_.uniform() <= params_.xtc_probability) candidates_.xtc(params_.xtc_threshold, min_keep);
      return;
    case Step::temperature:
      candidates_.dynamic_temperature(params_.temperature, params_.dynatemp_range, params_.dynatemp_exponent);
      return;
    case Step::adaptive_p:
      return;  // replaces the draw
  }
}

void Sampler::apply_penalties(std::span<float> logits) const {
  const size_t n =
      params_.repeat_last_n < 0 ? history_.size() : std::min<size_t>(history_.size(), static_cast<size_t>(params_.repeat_last_n));
  std::unordered_map<int32_t, int32_t> counts;
  for (size_t i = history_.size() - n; i < history_.size(); ++i) ++counts[history_[i]];
  for (const auto& [id, count] : counts) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit <= 0 ? logit * params_.repeat_penalty : logit / params_.repeat_penalty;
    logit -= static_cast<float>(count) * params_.frequency_penalty + params_.presence_penalty;
  }
}

int32_t Sampler::draw() {
  candidates_.softmax();
  const double u = rng_.uniform();
  double sum = 0.0;
  const auto all = candidates_.all();
  for (const Candidate& c : all) {
    sum += c.p;
    if (u < sum) return c.id;
  }
  return all[candidates_.best()].id;  // u within rounding of 1
}

// Basu et al. 2021, algorithm 1: Zipf's exponent estimated from the m best tokens gives the k of a top-k.
int32_t Sampler::draw_mirostat1(size_t n_vocab) {
  constexpr size_t m = 100;
  candidates_.sort();
  candidates_.softmax();
  double products = 0, squares = 0;
  for (size_t i = 0; i + 1 < std::min(m, candidates_.size()); ++i) {
    const double t = exact_log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    const double b = exact_log(candidates_[i].p / candidates_[i + 1].p);
    if (!std::isfinite(b)) break;
    products += t * b;
    squares += t * t;
  }
  double k = static_cast<double>(candidates_.size());
  const double s = squares > 0 ? products / squares : 0;
  const double epsilon = s - 1;
  const double base =
      epsilon * exact_exp(mu_ / kBitsPerNat) / (1 - exact_exp(-epsilon * exact_log(static_cast<double>(n_vocab))));
  if (s > 0 && base > 0 && std::isfinite(base)) k = exact_exp(exact_log(base) / s);
  candidates_.top_k(static_cast<int32_t>(std::clamp(k, 1.0, static_cast<double>(candidates_.size()))));
  const int32_t id = draw();
  for (const Candidate& c : candidates_.all()) {
    if (c.id == id) mu_ -= params_.mirostat_eta * (-exact_log(c.p) * kBitsPerNat - params_.mirostat_tau);
  }
  return id;
}

// Basu et al. 2021, algorithm 2: cut by surprise, then steer mu by the surprise of what was drawn.
int32_t Sampler::draw_mirostat2() {
  candidates_.limit_surprise(mu_);
  const int32_t id = draw();
  for (const Candidate& c : candidates_.all()) {
    if (c.id == id) mu_ -= params_.mirostat_eta * (-exact_log(c.p) * kBitsPerNat - params_.mirostat_tau);
  }
  return id;
}

// Adaptive-p: the target moves against the average probability of what was drawn before.
int32_t Sampler::draw_adaptive() {
  candidates_.softmax();
  const double target = std::clamp(2.0 * std::min(params_.adaptive_target, 1.0f) - adaptive_sum_ / adaptive_weight_, 0.0, 1.0);
  std::vector<double> before;
  before.reserve(candidates_.size());
  for (const Candidate& c : candidates_.all()) before.push_back(c.p);
  candidates_.prefer_near(target);
  const int32_t id = draw();
  for (size_t i = 0; i < before.size(); ++i) {
    if (candidates_[i].id != id) continue;
    adaptive_sum_ = adaptive_sum_ * params_.adaptive_decay + before[i];
    adaptive_weight_ = adaptive_weight_ * params_.adaptive_decay + 1.0;
  }
  return id;
}

}  // namespace phial
