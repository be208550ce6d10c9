// DRY ("don't repeat yourself", p-e-w 2024): a token that would lengthen a repetition of the recent text by one pays
// multiplier * base^(length - allowed_length), the length being that of the longest repeated ending it would continue.
// Sequence breakers end the stretch that may match. Source: the proposal's text, text-generation-webui pull request 5677.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "engine/sampler.h"

namespace phial {

const std::string& Sampler::piece(int32_t id) {
  const auto found = pieces_.find(id);
  if (found != pieces_.end()) return found->second;
  return pieces_.emplace(id, vocab_.piece ? vocab_.piece(id) : std::string()).first->second;
}

/// Number of tokens at the end of the history after the last sequence breaker.
size_t Sampler::dry_reach() {
  constexpr size_t kMaxBreakerBytes = 256;
  const size_t n = history_.size();
  const size_t window = params_.dry_penalty_last_n < 0 ? n : std::min<size_t>(n, static_cast<size_t>(params_.dry_penalty_last_n));
  size_t longest = 0;
  for (const std::string& breaker : params_.dry_sequence_breakers)
    longest = std::max(longest, std::min(breaker.size(), kMaxBreakerBytes));
  if (longest == 0) return window;
  std::string after;         // start of the text after token i, as much as a breaker may span
  std::vector<size_t> ends;  // where the tokens after i end in that text
  for (size_t back = 0; back < window; ++back) {
    const std::string& text = piece(history_[n - 1 - back]);
    const std::string joined = text + after;
    size_t reach = back + 1;
    for (const std::string& breaker : params_.dry_sequence_breakers) {
      if (breaker.empty() || breaker.size() > kMaxBreakerBytes) continue;
      // The last occurrence that begins inside this token ends nearest to the present.
      size_t at = text.empty() ? std::string::npos : joined.rfind(breaker, text.size() - 1);
      if (at == std::string::npos) continue;
      const size_t end = at + breaker.size();
      size_t spanned = 0;
      for (size_t e = 0; end > text.size() && e < ends.size(); ++e) {
        ++spanned;
        if (text.size() + ends[e] >= end) break;
      }
      reach = std::min(reach, back - std::min(spanned, back));
    }
    if (reach <= back) return reach;
    after = joined.substr(0, longest);
    for (size_t& end : ends) end = std::min(end + text.size(), longest);
    ends.insert(ends.begin(), std::min(text.size(), longest));
    while (ends.size() > 1 && ends[ends.size() - 2] >= longest) ends.pop_back();
  }
  return window;
}

void Sampler::apply_dry(std::span<float> logits) {
  const size_t n = history_.size();
  const size_t window = params_.dry_penalty_last_n < 0 ? n : std::min<size_t>(n, static_cast<size_t>(params_.dry_penalty_last_n));
  const size_t allowed = static_cast<size_t>(std::max(params_.dry_allowed_length, 0));
  if (window <= allowed) return;
  const size_t reach = dry_reach();
  if (reach < std::max<size_t>(allowed, 1)) return;

  // Z function of the reversed window: z[i] = length of the common ending of the text and of the text cut by i tokens.
  const auto at = [&](size_t i) { return history_[n - 1 - i]; };
  std::vector<size_t> z(window, 0);
  for (size_t i = 1, left = 0, right = 0; i < window; ++i) {
    if (i < right) z[i] = std::min(right - i, z[i - left]);
    while (i + z[i] < window && at(z[i]) == at(i + z[i])) ++z[i];
    if (i + z[i] > right) {
      left = i;
      right = i + z[i];
    }
  }
  std::unordered_map<int32_t, size_t> longest;  // token that followed a repeated ending -> length of that ending
  for (size_t i = 1; i < window; ++i) {
    const size_t length = std::min(z[i], reach);
    if (length < allowed || length == 0) continue;
    size_t& best = longest[at(i - 1)];
    best = std::max(best, length);
  }
  const double log_base = exact_log(params_.dry_base);
  for (const auto& [id, length] : longest) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    const std::string& text = piece(id);  // a breaker itself is never punished
    const auto& breakers = params_.dry_sequence_breakers;
    if (std::any_of(breakers.begin(), breakers.end(),
                    [&](const std::string& b) { return !b.empty() && text.find(b) != std::string::npos; }))
      continue;
    const double exponent = std::min(static_cast<double>(length - allowed) * log_base, 80.0);  // stays a finite float
    logits[static_cast<size_t>(id)] -= static_cast<float>(std::min(params_.dry_multiplier * exact_exp(exponent), 3e38));
  }
}

}  // namespace phial
