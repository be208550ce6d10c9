// Frequencies and angles. Every step is rounded to f32 where Hugging Face rounds: at position 100000 one unit in the last
// place of a frequency is an angle of 0.01.
#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace phial {
namespace {

/// theta^(2i / n_rot)
std::vector<float> powers(const RopeConfig& c) {
  std::vector<float> out(static_cast<size_t>(c.n_rot / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(c.n_rot);
    out[i] = static_cast<float>(std::pow(static_cast<double>(static_cast<float>(c.theta)), static_cast<double>(exponent)));
  }
  return out;
}

/// 1 / (factor * theta^(2i / n_rot)); no factors = ones.
std::vector<float> divided(const RopeConfig& c, const std::vector<float>& factors) {
  std::vector<float> out = powers(c);
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / (factors.empty() ? out[i] : factors[i] * out[i]);
  return out;
}

/// YaRN: high frequencies stay, low ones are interpolated, a ramp over the dimensions between.
std::vector<float> yarn(const RopeConfig& c, int64_t original_context) {
  const double dim = c.n_rot;
  auto dimension_of = [&](double n_rotations) {
    return dim * std::log(static_cast<double>(original_context) / (n_rotations * 2 * std::numbers::pi)) / (2 * std::log(c.theta));
  };
  const double low = std::max(std::floor(dimension_of(c.yarn_beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(c.yarn_beta_slow)), dim - 1);
  if (low == high) high += 0.001;
  std::vector<float> out = powers(c);
  for (size_t i = 0; i < out.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float kept = 1.0f - ramp;
    const float extrapolated = 1.0f / out[i];
    const float interpolated = 1.0f / (static_cast<float>(c.factor) * out[i]);
    out[i] = interpolated * (1.0f - kept) + extrapolated * kept;
  }
  return out;
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config, int64_t original_context)
    : n_rot_(config.n_rot),
      original_context_(original_context),
      has_long_(!config.long_factors.empty()),
      attention_factor_(static_cast<float>(config.attention_factor)) {
  if (config.scaling == "yarn") {
    frequencies_[0] = yarn(config, original_context);
  } else {
    frequencies_[0] = divided(config, config.short_factors);
    if (config.scaling == "linear")
      for (float& f : frequencies_[0]) f /= static_cast<float>(config.factor);
  }
  frequencies_[1] = has_long_ ? divided(config, config.long_factors) : frequencies_[0];
}

int32_t RopeTable::set_for(int64_t length) const { return has_long_ && length > original_context_ ? 1 : 0; }

void RopeTable::fill(float* row, int64_t position, int32_t set) const {
  const std::vector<float>& frequencies = frequencies_[static_cast<size_t>(set)];
  const auto half = static_cast<int64_t>(frequencies.size());
  for (int64_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * frequencies[static_cast<size_t>(i)];
    row[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * attention_factor_;
    row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * attention_factor_;
  }
}

}  // namespace phial
