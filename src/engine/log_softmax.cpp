// The loops over a row. Each is compiled for several instruction sets, which differ in speed only.
#include "engine/log_softmax.h"

#include <algorithm>
#include <cmath>

#include "ops/numerics.h"

// The choice among clones runs before a thread sanitizer is ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define PHIAL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PHIAL_CLONES
#endif

namespace phial {
namespace {

constexpr size_t kRun = 512;  // values whose float sums are added before they go into a double
constexpr float kRange = 16;  // ln of the smallest share of the largest probability that 16 bits keep
constexpr float kLevels = 65535;

/// f(i) is summed over [0, n): runs of kRun in 16 float lanes, the runs in double.
template <typename F>
__attribute__((always_inline)) inline double sum_runs(size_t n, F&& f) {
  double total = 0;
  for (size_t begin = 0; begin < n; begin += kRun) {
    const size_t end = std::min(n, begin + kRun);
    float lane[kLanes] = {};
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (size_t k = 0; k < kLanes; ++k) lane[k] += f(i + k);
    for (size_t k = 0; i + k < end; ++k) lane[k] += f(i + k);
    double run = 0;
    for (float v : lane) run += v;
    total += run;
  }
  return total;
}

/// The value that none is before; NaN is never taken, except as the first.
template <typename T, typename Before>
__attribute__((always_inline)) inline T first_of(std::span<const T> values, Before before) {
  T lane[kLanes];
  std::fill_n(lane, kLanes, values[0]);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t k = 0; k < kLanes; ++k) lane[k] = before(values[i + k], lane[k]) ? values[i + k] : lane[k];
  for (size_t k = 0; i + k < values.size(); ++k) lane[k] = before(values[i + k], lane[k]) ? values[i + k] : lane[k];
  T best = lane[0];
  for (T v : lane) best = before(v, best) ? v : best;
  return best;
}

PHIAL_CLONES float largest(std::span<const float> values) {
  return first_of(values, [](float a, float b) { return a > b; });
}
PHIAL_CLONES uint16_t largest(std::span<const uint16_t> values) {
  return first_of(values, [](uint16_t a, uint16_t b) { return a > b; });
}
PHIAL_CLONES float smallest(std::span<const float> values) {
  return first_of(values, [](float a, float b) { return a < b; });
}

PHIAL_CLONES double sum_of_exp(const float* x, size_t n, float max) {
  return sum_runs(n, [=](size_t i) { return exp_f32(x[i] - max); });
}

PHIAL_CLONES void to_levels(const float* x, size_t n, float low, float inverse, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) {
    const float t = (x[i] > low ? inverse * (x[i] - low) : 0.0f) + kRoundToInt;
    uint32_t bits;
    __builtin_memcpy(&bits, &t, 4);
    out[i] = static_cast<uint16_t>(bits);
  }
}

PHIAL_CLONES double sum_of_differences(const uint16_t* levels, float scale, float minimum, const float* x, size_t n, float norm) {
  return sum_runs(n, [=](size_t i) {
    const float base = scale * static_cast<float>(levels[i]) + minimum;
    const float term = exp_f32(base) * (base - x[i] + norm);
    return base > -kRange ? term : 0.0f;
  });
}

}  // namespace

RowSummary summarize(std::span<const float> logits) {
  RowSummary s;
  s.max = largest(logits);
  s.log_sum = std::log(sum_of_exp(logits.data(), logits.size(), s.max));
  return s;
}

QuantizedRow quantize_row(std::span<const float> logits, const RowSummary& summary, std::span<uint16_t> levels) {
  const float low = std::max(smallest(logits), summary.max - kRange);
  QuantizedRow row;
  row.minimum = low - summary.max - static_cast<float>(summary.log_sum);
  row.scale = (summary.max - low) / kLevels;
  row.levels = levels.first(logits.size());
  to_levels(logits.data(), logits.size(), low, row.scale > 0 ? 1 / row.scale : 0, levels.data());
  return row;
}

size_t index_of_max(std::span<const float> values) {
  return static_cast<size_t>(std::find(values.begin(), values.end(), largest(values)) - values.begin());
}

size_t index_of_max(std::span<const uint16_t> values) {
  return static_cast<size_t>(std::find(values.begin(), values.end(), largest(values)) - values.begin());
}

double divergence(const QuantizedRow& base, std::span<const float> logits, const RowSummary& summary) {
  const float norm = summary.max + static_cast<float>(summary.log_sum);
  return sum_of_differences(base.levels.data(), base.scale, base.minimum, logits.data(), logits.size(), norm);
}

}  // namespace phial
