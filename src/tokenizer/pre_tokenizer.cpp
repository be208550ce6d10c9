// The splitting rules, step by step, as Hugging Face's `tokenizers` applies them.
#include "tokenizer/pre_tokenizer.h"

#include <optional>

#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

struct Piece {
  size_t begin, end;
  bool match;
};

bool is_punctuation(uint32_t code) { return (char_class(code) & kSplitPunctuation) != 0; }

/// Pieces to words by the behavior; empty ones are dropped.
void emit(std::string_view word, std::vector<Piece>& pieces, SplitBehavior behavior, std::vector<std::string_view>& out) {
  auto push = [&](size_t begin, size_t end) {
    if (begin < end) out.push_back(word.substr(begin, end - begin));
  };
  bool previous = false;
  switch (behavior) {
    case SplitBehavior::isolated:
      for (const Piece& p : pieces) push(p.begin, p.end);
      return;
    case SplitBehavior::removed:
      for (const Piece& p : pieces)
        if (!p.match) push(p.begin, p.end);
      return;
    case SplitBehavior::contiguous:
    case SplitBehavior::merged_with_previous: {
      std::vector<Piece> merged;
      for (const Piece& p : pieces) {
        const bool join = behavior == SplitBehavior::contiguous ? p.match == previous : p.match && !previous;
        if (join && !merged.empty())
          merged.back().end = p.end;
        else
          merged.push_back(p);
        previous = p.match;
      }
      for (const Piece& p : merged) push(p.begin, p.end);
      return;
    }
    case SplitBehavior::merged_with_next: {
      std::vector<Piece> merged;
      for (auto p = pieces.rbegin(); p != pieces.rend(); ++p) {
        if (p->match && !previous && !merged.empty())
          merged.back().begin = p->begin;
        else
          merged.push_back(*p);
        previous = p->match;
      }
      for (auto p = merged.rbegin(); p != merged.rend(); ++p) push(p->begin, p->end);
    }
  }
}

/// Pieces of a pattern that is a property of single characters: each one a match, or whole runs.
template <typename Property>
void by_character(std::string_view word, bool runs, Property property, std::vector<Piece>& pieces) {
  for (size_t i = 0; i < word.size();) {
    const CodePoint c = decode_utf8(word, i);
    const bool match = property(c.code);
    if (!pieces.empty() && pieces.back().match == match && (runs || !match))
      pieces.back().end = i + c.length;
    else
      pieces.push_back({i, i + c.length, match});
    i += c.length;
  }
}

template <typename Next>
void by_matches(std::string_view word, Next next, std::vector<Piece>& pieces) {
  size_t done = 0;
  for (Regex::Match m; next(m);) {
    if (done < m.begin) pieces.push_back({done, m.begin, false});
    pieces.push_back({m.begin, m.end, true});
    done = m.end;
  }
  if (done < word.size()) pieces.push_back({done, word.size(), false});
}

}  // namespace

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps) {
  for (const PreTokenizerStep& s : steps) {
    Compiled c{s, nullptr, false, {}};
    std::string pattern;
    if (s.kind == PreTokenizerKind::split && s.is_regex) pattern = s.pattern;
    if (s.kind == PreTokenizerKind::byte_level && s.use_regex) pattern = kByteLevelPattern;
    if (s.kind == PreTokenizerKind::whitespace) pattern = "\\w+|[^\\w\\s]+";
    if (!pattern.empty()) {
      c.regex.emplace_back(pattern);  // also where a matcher stands in, so that a bad pattern is always refused
      c.known = find_word_pattern(pattern);
      c.by_matcher = c.known && (s.behavior == SplitBehavior::isolated || (s.behavior == SplitBehavior::removed && s.invert));
    }
    steps_.push_back(std::move(c));
  }
}

void PreTokenizer::split_word(const Compiled& c, std::string_view word, Regex::Finder* finder,
                              std::vector<std::string_view>& out) {
  const PreTokenizerStep& s = c.step;
  std::vector<Piece> pieces;
  SplitBehavior behavior = SplitBehavior::isolated;
  switch (s.kind) {
    case PreTokenizerKind::digits:
      by_character(
          word, !s.individual_digits, [](uint32_t code) { return (char_class(code) & kSplitDigit) != 0; }, pieces);
      break;
    case PreTokenizerKind::punctuation:
      by_character(word, false, is_punctuation, pieces);
      behavior = s.behavior;
      break;
    case PreTokenizerKind::whitespace_split:
      by_character(word, false, is_space, pieces);
      behavior = SplitBehavior::removed;
      break;
    default:
      if (c.by_matcher) {
        // Matches are words, and so is what stands between them unless the rule removes it.
        const auto push = [&](size_t begin, size_t end) {
          if (begin < end) out.push_back(word.substr(begin, end - begin));
        };
        const bool gaps = s.behavior == SplitBehavior::isolated;
        size_t done = 0;
        for (size_t at = 0; at < word.size();) {
          const size_t end = c.known(word, at);
          if (end == at) {
            at += decode_utf8(word, at).length;
            continue;
          }
          if (gaps) push(done, at);
          push(at, end);
          done = at = end;
        }
        if (gaps) push(done, word.size());
        return;
      }
  }
  if (s.kind == PreTokenizerKind::split) behavior = s.behavior;
  if (s.kind == PreTokenizerKind::whitespace) behavior = SplitBehavior::removed;
  if (s.kind == PreTokenizerKind::split && !s.is_regex) {
    size_t at = 0;
    by_matches(
        word,
        [&](Regex::Match& m) {
          const size_t hit = s.pattern.empty() ? std::string_view::npos : word.find(s.pattern, at);
          if (hit == std::string_view::npos) return false;
          m = {hit, at = hit + s.pattern.size()};
          return true;
        },
        pieces);
  } else if (finder) {
    finder->start(word);
    by_matches(
        word, [&](Regex::Match& m) { return finder->next(m); }, pieces);
  }
  if ((s.kind == PreTokenizerKind::split && s.invert) || s.kind == PreTokenizerKind::whitespace)
    for (Piece& p : pieces) p.match = !p.match;
  emit(word, pieces, behavior, out);
}

void PreTokenizer::split(std::string_view text, bool at_start, RegexBudget& budget, Words& words) const {
  words.list.clear();
  words.made.clear();
  words.byte_alphabet = false;
  if (text.empty()) return;
  words.list.push_back(text);
  std::vector<std::string_view> out;
  for (size_t n = 0; n < steps_.size(); ++n) {
    const Compiled& c = steps_[n];
    const PreTokenizerStep& s = c.step;
    out.clear();
    std::optional<Regex::Finder> found;
    if (!c.regex.empty() && !c.by_matcher) found.emplace(c.regex[0], budget);
    Regex::Finder* finder = found ? &*found : nullptr;
    bool first = at_start;  // only the first word can stand at offset 0
    for (std::string_view word : words.list) {
      if (s.kind == PreTokenizerKind::metaspace) {
        std::string made = replace_all(word, " ", s.replacement);
        const bool prepend = s.prepend_scheme == PrependScheme::always || (s.prepend_scheme == PrependScheme::first && first);
        if (prepend && !made.starts_with(s.replacement)) made.insert(0, s.replacement);
        word = words.made.emplace_back(std::move(made));
        if (s.split && !s.replacement.empty()) {
          for (size_t begin = 0; begin < word.size();) {
            const size_t from = word.substr(begin).starts_with(s.replacement) ? begin + s.replacement.size() : begin;
            const size_t end = std::min(word.find(s.replacement, from), word.size());
            out.push_back(word.substr(begin, end - begin));
            begin = end;
          }
        } else {
          out.push_back(word);
        }
      } else if (s.kind == PreTokenizerKind::byte_level) {
        if (s.add_prefix_space && !word.starts_with(' ')) word = words.made.emplace_back(std::string(1, ' ').append(word));
        if (s.use_regex)
          split_word(c, word, finder, out);
        else
          out.push_back(word);
      } else {
        split_word(c, word, finder, out);
      }
      first = false;
    }
    words.list.swap(out);
    // Rules after ByteLevel see its alphabet; as the last rule it needs no copy.
    if (s.kind == PreTokenizerKind::byte_level && n + 1 < steps_.size() && !words.byte_alphabet) {
      words.byte_alphabet = true;
      for (std::string_view& word : words.list) word = words.made.emplace_back(bytes_to_alphabet(word));
    }
  }
}

}  // namespace phial
