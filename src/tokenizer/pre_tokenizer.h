// Applies the pre-tokenizer rules: a text becomes words, which the model then tokenizes one by one.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/text_rules.h"
#include "tokenizer/word_patterns.h"

namespace phial {

/// Words of one text. They point into the text, or into `made` where a rule changed it.
struct Words {
  std::vector<std::string_view> list;
  std::deque<std::string> made;
  bool byte_alphabet = false;  // the words are already in the printable alphabet of byte-level BPE
};

class PreTokenizer {
 public:
  explicit PreTokenizer(const std::vector<PreTokenizerStep>& steps);
  size_t n_steps() const { return steps_.size(); }
  /// at_start: the text is the very beginning of the input (Metaspace's prepend_scheme first).
  void split(std::string_view text, bool at_start, RegexBudget& budget, Words& words) const;

 private:
  struct Compiled {
    PreTokenizerStep step;
    WordPattern known = nullptr;  // a hand-written matcher that gives what the pattern gives
    bool by_matcher = false;      // it is used: the rule keeps matches as words
    std::vector<Regex> regex;
  };
  static void split_word(const Compiled& c, std::string_view word, Regex::Finder* finder, std::vector<std::string_view>& out);

  std::vector<Compiled> steps_;
};

}  // namespace phial
