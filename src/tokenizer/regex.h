// Regular expressions of pre-tokenizers: Oniguruma, the engine of Hugging Face's `tokenizers`, with bounds on its work.
// Patterns and texts are untrusted: compiling and searching end in VOCAB or BUDGET errors, never in a hang.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace phial {

/// Backtracking steps that all searches of one encode() may use together.
class RegexBudget {
 public:
  /// For a text that n_patterns patterns go over: enough for two searches of kFirstLimit steps at each byte.
  explicit RegexBudget(uint64_t text_bytes, uint64_t n_patterns = 1)
      : left_(kFree + (2 * kFirstLimit + 100) * text_bytes * n_patterns) {}
  static constexpr uint64_t kFirstLimit = 256;  // steps of the first try of a search
  bool take(uint64_t n) {
    if (n > left_) return false;
    left_ -= n;
    return true;
  }

 private:
  static constexpr uint64_t kFree = 20'000'000;
  uint64_t left_;
};

class Regex {
 public:
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  struct Match {
    size_t begin = 0, end = 0;
  };
  /// The matches in texts, one text after another: left to right, not overlapping; an empty match right after a match is
  /// passed over.
  class Finder {
   public:
    Finder(const Regex& regex, RegexBudget& budget);
    ~Finder();
    void start(std::string_view text);
    bool next(Match& match);

   private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// Text that matches itself.
std::string regex_escape(std::string_view text);

/// The pattern with \p{..}, \P{..}, \d and \w written out as code point ranges of our own table, so that the Unicode version
/// of the installed Oniguruma does not matter. Names the table does not hold stay as they are.
std::string with_own_properties(std::string_view pattern);

}  // namespace phial
