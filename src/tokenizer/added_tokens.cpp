// A byte trie; lengths are bounded, so that a scan is linear in the text.
#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

constexpr size_t kMaxAddedTokenBytes = 1024;

/// First byte of the code point that ends at `end`.
size_t previous_start(std::string_view text, size_t end) {
  size_t i = end - 1;
  while (i > 0 && end - i < 4 && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) --i;
  const CodePoint c = decode_utf8(text, i);
  return c.code < kInvalidByte && i + c.length == end ? i : end - 1;
}

bool word_before(std::string_view text, size_t at) {
  return at > 0 && (char_class(decode_utf8(text, previous_start(text, at)).code) & kJoinsWords);
}

bool word_at(std::string_view text, size_t at) {
  return at < text.size() && (char_class(decode_utf8(text, at).code) & kJoinsWords);
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<Entry> entries) : entries_(std::move(entries)), nodes_(1) {
  for (size_t e = 0; e < entries_.size(); ++e) {
    const std::string& text = entries_[e].token.text;
    if (text.empty()) continue;
    if (text.size() > kMaxAddedTokenBytes)
      fail(ErrorCode::limit, "added token {} has {} bytes, more than the {} allowed", entries_[e].token.id, text.size(),
           kMaxAddedTokenBytes);
    uint32_t node = 0;
    for (char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      uint32_t next = child(node, byte);
      if (next == 0) {
        next = static_cast<uint32_t>(nodes_.size());
        nodes_.emplace_back();
        auto& list = nodes_[node].next;
        list.insert(std::lower_bound(list.begin(), list.end(), std::pair<uint8_t, uint32_t>{byte, 0}), {byte, next});
      }
      node = next;
    }
    if (nodes_[node].entry < 0) nodes_[node].entry = static_cast<int32_t>(e);  // of equal texts the first counts
    starts_[static_cast<uint8_t>(text[0])] = true;
  }
}

uint32_t AddedTokenMatcher::child(uint32_t node, uint8_t byte) const {
  const auto& list = nodes_[node].next;
  const auto it = std::lower_bound(list.begin(), list.end(), std::pair<uint8_t, uint32_t>{byte, 0});
  return it != list.end() && it->first == byte ? it->second : 0;
}

int32_t AddedTokenMatcher::longest(std::string_view text, size_t at) const {
  int32_t found = -1;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = child(node, static_cast<uint8_t>(text[i]));
    if (node == 0) break;
    if (nodes_[node].entry >= 0) found = nodes_[node].entry;
  }
  return found;
}

std::vector<TextPart> AddedTokenMatcher::split(std::string_view text, bool parse_special,
                                               const std::vector<size_t>& no_special_at) const {
  std::vector<TextPart> parts;
  size_t done = 0;  // end of the last part
  for (size_t i = 0; i < text.size();) {
    const int32_t found = starts_[static_cast<uint8_t>(text[i])] ? longest(text, i) : -1;
    if (found < 0) {
      ++i;
      continue;
    }
    const auto& [token, guarded] = entries_[static_cast<size_t>(found)];
    size_t begin = i, end = i + token.text.size();
    i = end;
    if (guarded && (!parse_special || std::binary_search(no_special_at.begin(), no_special_at.end(), begin))) continue;
    if (token.single_word && (word_before(text, begin) || word_at(text, end))) continue;
    if (token.lstrip)
      while (begin > done) {
        const size_t before = previous_start(text, begin);
        if (before < done || !is_space(decode_utf8(text, before).code)) break;
        begin = before;
      }
    if (token.rstrip)
      while (end < text.size()) {
        const CodePoint c = decode_utf8(text, end);
        if (!is_space(c.code)) break;
        end += c.length;
      }
    if (done < begin) parts.push_back({-1, done, begin});
    parts.push_back({token.id, begin, end});
    done = end;  // as in HF, a next token may begin inside the white space just stripped: i is not moved to `end`
  }
  if (done < text.size()) parts.push_back({-1, done, text.size()});
  return parts;
}

std::vector<size_t> AddedTokenMatcher::guarded_starts(std::string_view text) const {
  std::vector<size_t> out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!starts_[static_cast<uint8_t>(text[i])]) continue;
    uint32_t node = 0;
    for (size_t k = i; k < text.size(); ++k) {
      node = child(node, static_cast<uint8_t>(text[k]));
      if (node == 0) break;
      const int32_t entry = nodes_[node].entry;
      if (entry >= 0 && entries_[static_cast<size_t>(entry)].guarded) {
        out.push_back(i);
        break;
      }
    }
  }
  return out;
}

}  // namespace phial
