// The candidates of one sampling step and the filters that thin them out, each as its paper or proposal defines it.
// Order rule everywhere: higher logit first, equal logits by lower id. exp and log are our own, so that a seed gives the
// same text with every C library.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace phial {

/// e^x and ln(x) in double by fixed polynomials: the same bits on every machine.
double exact_exp(double x);
double exact_log(double x);

struct Candidate {
  int32_t id;
  float logit;
  double p;  // valid after softmax()
};

class Candidates {
 public:
  /// All tokens, in the order of their ids. Throws NUMERICAL for NaN and +inf, ARGUMENT when nothing is allowed.
  void assign(std::span<const float> logits);
  /// The same, followed by top_k(k), in one pass over the vocabulary.
  void assign_top_k(std::span<const float> logits, int32_t k);

  size_t size() const { return list_.size(); }
  const Candidate& operator[](size_t i) const { return list_[i]; }
  std::span<const Candidate> all() const { return list_; }

  void sort();
  /// Fills p: softmax over the candidates that are left.
  void softmax();
  /// Index of the highest logit (lowest id among equals).
  size_t best() const;
  double entropy() const;  // natural log, of p

  void top_k(int32_t k);
  /// Smallest set whose probability reaches p (Holtzman et al. 2019).
  void top_p(double p, size_t min_keep);
  /// Tokens with at least p times the best one's probability.
  void min_p(double p, size_t min_keep);
  /// Locally typical sampling (Meister et al. 2022).
  void typical(double p, size_t min_keep);
  /// Tokens within n standard deviations below the best logit (Tang et al. 2024).
  void top_n_sigma(double n);
  /// Exclude top choices: drops every token above the threshold but the least likely of them. The caller draws the chance.
  void xtc(double threshold, size_t min_keep);
  /// Divides the logits; temperature <= 0 keeps the best one only.
  void temperature(double t);
  /// Temperature between t - range and t + range by the normalised entropy to the power `exponent`.
  void dynamic_temperature(double t, double range, double exponent);
  /// Mirostat 2: drops tokens whose surprise (bits) is above mu.
  void limit_surprise(double mu);
  /// Adaptive-p: new logits that peak where p is near the target.
  void prefer_near(double target);

 private:
  std::vector<Candidate> list_;
  bool sorted_ = false;
};

}  // namespace phial
