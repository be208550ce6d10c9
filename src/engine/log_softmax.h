// What one row of logits says: log-probabilities, their 16-bit form in files of log-probabilities, and the divergence from such a
// row. Sums run in 16 lanes in a fixed order: the same bits with every instruction set and number of threads.
#pragma once

#include <cstdint>
#include <span>

namespace phial {

struct RowSummary {
  float max = 0;
  double log_sum = 0;  // ln of the sum of exp(logit - max); NaN when a logit is NaN or +Inf

  double log_prob(float logit) const { return static_cast<double>(logit) - max - log_sum; }
};
RowSummary summarize(std::span<const float> logits);

/// A row in 16 bits: ln p of id i = minimum + scale * levels[i]. Logits more than 16 below the largest count as 16 below.
struct QuantizedRow {
  float scale = 0, minimum = 0;
  std::span<const uint16_t> levels;

  float log_prob(size_t id) const { return scale * static_cast<float>(levels[id]) + minimum; }
};
/// Fills `levels` and returns the row over them.
QuantizedRow quantize_row(std::span<const float> logits, const RowSummary& summary, std::span<uint16_t> levels);

/// The first of the largest values.
size_t index_of_max(std::span<const float> values);
size_t index_of_max(std::span<const uint16_t> values);

/// KL(base || row): the sum of p_base * (ln p_base - ln p). Ids whose base ln p is -16 or less are left out, as llama.cpp does.
double divergence(const QuantizedRow& base, std::span<const float> logits, const RowSummary& summary);

}  // namespace phial
