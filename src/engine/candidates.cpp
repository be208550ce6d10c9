// See candidates.h.
#include "engine/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/fail.h"

namespace phial {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

bool better(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

void check_logit(float logit, size_t id) {
  if (!(logit < std::numeric_limits<float>::infinity())) {
    fail(ErrorCode::numerical, "logit of token {} is {}; the model's output cannot be sampled: check the weights (phial doctor)",
         id, std::isnan(logit) ? "NaN" : "infinite");
  }
}

[[noreturn]] void nothing_left() {
  fail(ErrorCode::argument, "no token can be sampled: every logit is masked; check logit bias, ignore_eos and the grammar");
}

}  // namespace

double exact_exp(double x) {
  if (x != x) return x;
  if (x < -745.0) return 0.0;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  double r = x - k * 6.93147180369123816490e-01;  // ln 2 in two parts
  r -= k * 1.90821492927058770002e-10;
  double sum = 1.0;  // Taylor in Horner form; |r| <= 0.35, 14 terms reach double precision
  for (int n = 14; n >= 1; --n) sum = 1.0 + sum * r / n;
  return std::ldexp(sum, static_cast<int>(k));
}

double exact_log(double x) {
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (!(x > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (x == std::numeric_limits<double>::infinity()) return x;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1), s2 = s * s;  // ln m = 2 atanh(s), |s| <= 0.172
  double sum = 0.0;
  for (int n = 23; n >= 1; n -= 2) sum = sum * s2 + 1.0 / n;
  return exponent * 0.69314718055994530942 + 2 * s * sum;
}

void Candidates::assign(std::span<const float> logits) {
  list_.clear();
  list_.reserve(logits.size());
  bool any = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    check_logit(logits[i], i);
    any |= logits[i] > kMasked;
    list_.push_back({static_cast<int32_t>(i), logits[i], 0.0});
  }
  if (!any) nothing_left();
  if (std::any_of(list_.begin(), list_.end(), [](const Candidate& c) { return c.logit == kMasked; })) {
    std::erase_if(list_, [](const Candidate& c) { return c.logit == kMasked; });
  }
  sorted_ = false;
}

void Candidates::assign_top_k(std::span<const float> logits, int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= logits.size() || k > 4096) {
    assign(logits);
    top_k(k);
    return;
  }
  // A heap of the k best so far, the worst of them on top; ids come in rising order, so an equal logit never replaces.
  list_.clear();
  float worst = kMasked;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i];
    if (logit <= worst) continue;  // also skips masked tokens
    check_logit(logit, i);
    const Candidate candidate{static_cast<int32_t>(i), logit, 0.0};
    if (list_.size() < static_cast<size_t>(k)) {
      list_.push_back(candidate);
      std::push_heap(list_.begin(), list_.end(), better);
    } else {
      std::pop_heap(list_.begin(), list_.end(), better);
      list_.back() = candidate;
      std::push_heap(list_.begin(), list_.end(), better);
    }
    if (list_.size() == static_cast<size_t>(k)) worst = list_.front().logit;
  }
  if (list_.empty()) nothing_left();
  std::sort(list_.begin(), list_.end(), better);
  sorted_ = true;
}

void Candidates::sort() {
  if (!sorted_) std::sort(list_.begin(), list_.end(), better);
  sorted_ = true;
}

size_t Candidates::best() const {
  if (sorted_) return 0;
  return static_cast<size_t>(std::min_element(list_.begin(), list_.end(), better) - list_.begin());
}

void Candidates::softmax() {
  const double top = list_[best()].logit;
  double sum = 0.0;
  for (Candidate& c : list_) sum += c.p = exact_exp(c.logit - top);
  for (Candidate& c : list_) c.p /= sum;
}

double Candidates::entropy() const {
  double sum = 0.0;
  for (const Candidate& c : list_) {
    if (c.p > 0) sum -= c.p * exact_log(c.p);
  }
  return sum;
}

void Candidates::top_k(int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= list_.size()) return;
  if (!sorted_) {
    std::partial_sort(list_.begin(), list_.begin() + k, list_.end(), better);
    sorted_ = true;
  }
  list_.resize(static_cast<size_t>(k));
}

void Candidates::top_p(double p, size_t min_keep) {
  if (p >= 1) return;
  sort();
  softmax();
  double sum = 0.0;
  for (size_t i = 0; i < list_.size(); ++i) {
    sum += list_[i].p;
    if (sum >= p && i + 1 >= min_keep) {
      list_.resize(i + 1);
      return;
    }
  }
}

void Candidates::min_p(double p, size_t min_keep) {
  if (p <= 0) return;
  const double limit = list_[best()].logit + exact_log(std::min(p, 1.0));
  if (min_keep > 1) sort();
  size_t kept = 0;
  for (size_t i = 0; i < list_.size(); ++i) {
    if (list_[i].logit >= limit || i < min_keep) list_[kept++] = list_[i];
  }
  list_.resize(kept);
}

void Candidates::typical(double p, size_t min_keep) {
  if (p >= 1) return;
  softmax();
  const double h = entropy();
  std::vector<std::pair<double, size_t>> order;
  order.reserve(list_.size());
  for (size_t i = 0; i < list_.size(); ++i) order.push_back({std::fabs(-exact_log(list_[i].p) - h), i});
  std::sort(order.begin(), order.end(), [this](const auto& a, const auto& b) {
    return a.first < b.first || (a.first == b.first && list_[a.second].id < list_[b.second].id);
  });
  std::vector<Candidate> kept;
  double sum = 0.0;
  for (const auto& [distance, i] : order) {
    kept.push_back(list_[i]);
    sum += list_[i].p;
    if (sum > p && kept.size() >= std::max<size_t>(min_keep, 1)) break;
  }
  list_ = std::move(kept);
  sorted_ = false;
}

void Candidates::top_n_sigma(double n) {
  if (n <= 0 || list_.size() <= 1) return;
  double mean = 0.0, square = 0.0;
  for (const Candidate& c : list_) mean += c.logit;
  mean /= static_cast<double>(list_.size());
  for (const Candidate& c : list_) square += (c.logit - mean) * (c.logit - mean);
  const double limit = list_[best()].logit - n * std::sqrt(square / static_cast<double>(list_.size()));
  std::erase_if(list_, [limit](const Candidate& c) { return c.logit < limit; });
}

void Candidates::xtc(double threshold, size_t min_keep) {
  if (threshold > 0.5 || list_.size() < 2) return;
  sort();
  softmax();
  size_t above = 0;
  while (above < list_.size() && list_[above].p >= threshold) ++above;
  if (above < 2) return;
  const size_t dropped = above - 1;
  if (list_.size() - dropped >= std::max<size_t>(min_keep, 1))
    list_.erase(list_.begin(), list_.begin() + static_cast<ptrdiff_t>(dropped));
}

void Candidates::temperature(double t) {
  if (t <= 0) {
    const Candidate only = list_[best()];
    list_.assign(1, only);
    sorted_ = true;
    return;
  }
  // Ties that rounding makes keep the sorted order: the list is never sorted again by the new logits alone.
  for (Candidate& c : list_) c.logit = static_cast<float>(c.logit / t);
}

void Candidates::dynamic_temperature(double t, double range, double exponent) {
  if (range <= 0) {
    temperature(t);
    return;
  }
  if (list_.size() <= 1) return;
  softmax();
  const double share = entropy() / exact_log(static_cast<double>(list_.size()));
  const double low = std::max(0.0, t - range), high = t + range;
  const double power = share <= 0 ? (exponent == 0 ? 1.0 : 0.0) : exact_exp(exponent * exact_log(share));
  temperature(low + (high - low) * power);
}

void Candidates::limit_surprise(double mu) {
  sort();
  softmax();
  size_t kept = 0;
  while (kept < list_.size() && -exact_log(list_[kept].p) * 1.4426950408889634 <= mu) ++kept;
  list_.resize(std::max<size_t>(kept, 1));
}

void Candidates::prefer_near(double target) {
  constexpr double kPeak = 5.0, kWidth = 0.3, kSharpness = 10.0;
  for (Candidate& c : list_) {
    const double distance = std::fabs(c.p - target) / kWidth;
    c.logit = static_cast<float>(kPeak - kSharpness * distance * distance / (1 + distance));
  }
  sorted_ = false;
}

}  // namespace phial
