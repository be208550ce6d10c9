// Added tokens: texts that become one id before anything else, with Hugging Face's flags.
// A match is the leftmost, then the longest. A special token that may not be parsed is passed over as a whole, as HF does.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.h"

namespace phial {

/// Part of a text: an added token (id >= 0), or text between them (id < 0).
struct TextPart {
  int32_t id = -1;
  size_t begin = 0, end = 0;
};

class AddedTokenMatcher {
 public:
  struct Entry {
    AddedToken token;
    bool guarded = false;  // plain text unless special tokens are parsed
  };

  explicit AddedTokenMatcher(std::vector<Entry> entries);

  bool empty() const { return entries_.empty(); }
  /// Splits a text. Where parse_special is false, or a position is in `no_special_at` (ascending), guarded tokens are text.
  std::vector<TextPart> split(std::string_view text, bool parse_special, const std::vector<size_t>& no_special_at = {}) const;
  /// Start of each guarded token's text that stands anywhere in the text, overlapping ones too; ascending.
  std::vector<size_t> guarded_starts(std::string_view text) const;

 private:
  struct Node {
    int32_t entry = -1;
    std::vector<std::pair<uint8_t, uint32_t>> next;  // sorted by byte
  };
  uint32_t child(uint32_t node, uint8_t byte) const;  // 0 = none
  /// The longest entry that begins at `at`, or -1.
  int32_t longest(std::string_view text, size_t at) const;

  std::vector<Entry> entries_;
  std::vector<Node> nodes_;
  bool starts_[256] = {};
};

}  // namespace phial
