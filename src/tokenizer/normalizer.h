// Applies the normalizer rules to a text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/text_rules.h"

namespace phial {

class Normalizer {
 public:
  explicit Normalizer(const std::vector<NormalizerStep>& steps);
  bool empty() const { return steps_.empty(); }
  size_t n_steps() const { return steps_.size(); }
  /// Throws BUDGET when rules blow the text up beyond reason.
  std::string apply(std::string_view text, RegexBudget& budget) const;

 private:
  struct Compiled {
    NormalizerStep step;
    std::vector<Regex> regex;  // one for a replace with a regular expression
  };
  std::vector<Compiled> steps_;
};

/// Each occurrence of `from` (not empty), left to right, becomes `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace phial
