// Means with their uncertainties, and quantiles.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "phial/evaluate.h"

namespace phial {

/// Sums of values and of their squares.
struct Moments {
  int64_t n = 0;
  double sum = 0, sum_squares = 0;

  void add(double x) { ++n, sum += x, sum_squares += x * x; }
  double mean() const { return n > 0 ? sum / static_cast<double>(n) : 0; }
  /// The mean and its standard deviation.
  Estimate estimate() const {
    if (n < 2) return {mean(), 0};
    const double variance = sum_squares / static_cast<double>(n) - mean() * mean();
    return {mean(), variance > 0 ? std::sqrt(variance / static_cast<double>(n - 1)) : 0};
  }
};

/// exp of an estimate, by the first term of the error's series.
inline Estimate exp_of(const Estimate& x) { return {std::exp(x.value), std::exp(x.value) * x.error}; }

/// A share of n trials with its standard deviation.
inline Estimate share_of(int64_t hits, int64_t n) {
  if (n == 0) return {};
  const double p = static_cast<double>(hits) / static_cast<double>(n);
  return {p, n > 1 ? std::sqrt(p * (1 - p) / static_cast<double>(n - 1)) : 0};
}

/// Between the two nearest of the ascending values, linearly.
inline double quantile(std::span<const float> ascending, double share) {
  const double at = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(at);
  if (below + 1 >= ascending.size()) return ascending.back();
  const double part = at - static_cast<double>(below);
  return (1 - part) * static_cast<double>(ascending[below]) + part * static_cast<double>(ascending[below + 1]);
}

}  // namespace phial
