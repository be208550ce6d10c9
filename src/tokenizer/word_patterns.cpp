// The patterns of GPT-2, of the cl100k line (Llama 3, Phi-4, Qwen2) and of the o200k line (GPT-4o, Phi-4-mini, Tekken), each as a
// short scan. A comment at each step shows the part of the pattern it stands for.
#include "tokenizer/word_patterns.h"

#include <climits>

#include "tokenizer/text_rules.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

/// A place in a text: the code point there and its class. At the end its length and class are 0.
struct Place {
  size_t at = 0;
  uint32_t code = 0, length = 0;
  uint16_t bits = 0;
  bool is(uint16_t any_of) const { return bits & any_of; }
  bool newline() const { return length > 0 && (code == '\n' || code == '\r'); }
  size_t end() const { return at + length; }
};

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text), table_(char_class_table()) {}

  Place at(size_t i) const {
    if (i >= text_.size()) return {i, 0, 0, 0};
    const auto b = static_cast<uint8_t>(text_[i]);
    if (b < 0x80) return {i, b, 1, table_.classes[table_.page[0] * size_t{256} + b]};
    const CodePoint c = decode_utf8(text_, i);
    return {i, c.code, c.length, table_[c.code < kInvalidByte ? c.code : 0xFFFD]};  // as patterns see an invalid byte
  }
  Place after(const Place& p) const { return at(p.end()); }
  /// First place from p on of none of these classes.
  Place skip(Place p, uint16_t classes) const {
    while (p.is(classes)) p = after(p);
    return p;
  }
  bool other(const Place& p) const { return p.length > 0 && !p.is(kSpace | kLetter | kNumber); }  // [^\s\p{L}\p{N}]
  Place skip_other(Place p) const {
    while (other(p)) p = after(p);
    return p;
  }
  /// End of 's|'t|'re|'ve|'m|'ll|'d at i, or i. Ignoring case, as Unicode folds it: the long s (U+017F) is an s.
  size_t contraction(size_t i, bool ignore_case) const {
    if (i + 1 >= text_.size() || text_[i] != '\'') return i;
    const auto letter = [&](size_t k) -> char {
      if (k >= text_.size()) return 0;
      const char c = text_[k];
      return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    const char a = letter(i + 1), b = letter(i + 2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
    if (ignore_case && text_.substr(i + 1).starts_with("\xC5\xBF")) return i + 3;
    return i;
  }
  /// \s*[\r\n]+ when `newlines`, then \s+(?!\S)|\s+, at a white space.
  size_t white_space(Place p, bool newlines) const {
    const size_t begin = p.at;
    size_t last = begin, after_newline = begin;  // start of the last white space; end of the last newline
    for (; p.is(kSpace); p = after(p)) {
      last = p.at;
      if (p.newline()) after_newline = p.end();
    }
    if (newlines && after_newline > begin) return after_newline;
    return p.length == 0 || last == begin ? p.at : last;
  }
  /// \p{N}{1,n}
  size_t digits(Place p, int n) const {
    for (int k = 0; k < n && p.is(kNumber); ++k) p = after(p);
    return p.at;
  }
  /// [^\s\p{L}\p{N}]+ and then newlines, and slashes if `slash`.
  size_t symbols(Place p, bool slash) const {
    p = skip_other(p);
    while (p.newline() || (slash && p.length > 0 && p.code == '/')) p = after(p);
    return p.at;
  }

 private:
  std::string_view text_;
  const CharClassTable& table_;
};

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2_word(std::string_view text, size_t begin) {
  const Scan s(text);
  if (const size_t end = s.contraction(begin, false); end > begin) return end;
  const Place first = s.at(begin);
  const Place body = first.code == ' ' ? s.after(first) : first;
  if (body.is(kLetter)) return s.skip(body, kLetter).at;
  if (body.is(kNumber)) return s.skip(body, kNumber).at;
  if (s.other(body)) return s.skip_other(body).at;
  return s.white_space(first, false);
}

/// What the patterns of the cl100k line differ in.
struct Cl100kKind {
  int n_digits = 3;
  bool contractions = true;
  bool marks = false;               // words hold marks too
  bool newlines_of_symbols = true;  // [\r\n]* behind symbols
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <Cl100kKind kind>
size_t cl100k_word(std::string_view text, size_t begin) {
  constexpr uint16_t letters = kind.marks ? kLetter | kMark : kLetter;
  const Scan s(text);
  if constexpr (kind.contractions)
    if (const size_t end = s.contraction(begin, true); end > begin) return end;
  const Place first = s.at(begin);
  if (first.is(kNumber)) return s.digits(first, kind.n_digits);
  const Place second = s.after(first);
  const bool prefix = !first.newline() && !first.is(kLetter);  // a mark can be one as well
  if (prefix && second.is(letters)) return s.skip(second, letters).at;
  if (first.is(letters)) return s.skip(first, letters).at;
  const auto symbol = [&](const Place& p) { return s.other(p) && !(kind.marks && p.is(kMark)); };
  const auto symbols = [&](Place p) {
    while (symbol(p)) p = s.after(p);
    while (kind.newlines_of_symbols && p.newline()) p = s.after(p);
    return p.at;
  };
  if (first.code == ' ' && symbol(second)) return symbols(second);
  if (symbol(first)) return symbols(first);
  return s.white_space(first, true);
}

constexpr uint16_t kUpperSide = kUpper | kTitle | kModifierLetter | kOtherLetter | kMark;
constexpr uint16_t kLowerSide = kLower | kModifierLetter | kOtherLetter | kMark;

/// End of [upper side]*[lower side]+ at p, or p when it does not match. The two sides share marks and caseless letters: what
/// the first part took too much is given back, down to the last code point that both have.
size_t cased_word(const Scan& s, const Place& p) {
  size_t shared_end = p.at;
  Place q = p;
  for (; q.is(kUpperSide); q = s.after(q))
    if (q.is(kLowerSide)) shared_end = q.end();
  if (q.is(kLowerSide)) return s.skip(q, kLowerSide).at;
  return shared_end;
}

// [^\r\n\p{L}\p{N}]?U*L+C?|[^\r\n\p{L}\p{N}]?U+L*C?|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// with U and L the two sides and C the contractions, which Tekken has not.
template <int n_digits, bool contractions>
size_t o200k_word(std::string_view text, size_t begin) {
  const Scan s(text);
  const Place first = s.at(begin);
  if (first.is(kNumber)) return s.digits(first, n_digits);
  const bool prefix = !first.newline() && !first.is(kLetter);
  const Place second = prefix ? s.after(first) : first;
  size_t end = prefix ? cased_word(s, second) : begin;
  if (end == second.at || !prefix) end = cased_word(s, first);
  if (end == begin && prefix && second.is(kUpperSide)) end = s.skip(second, kUpperSide).at;
  if (end == begin && first.is(kUpperSide)) end = s.skip(first, kUpperSide).at;
  if (end > begin) return contractions ? s.contraction(end, true) : end;
  if (first.code == ' ' && s.other(s.after(first))) return s.symbols(s.after(first), true);
  if (s.other(first)) return s.symbols(first, true);
  return s.white_space(first, true);
}

// [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// (the first class is ASCII punctuation). Numbers, controls and unassigned code points may match nothing.
size_t deepseek_v3_word(std::string_view text, size_t begin) {
  constexpr uint16_t word = kLetter | kMark, stop = kPunctuation | kSymbol;
  const auto ascii_letter = [](const Place& p) { return p.length == 1 && p.code < 0x80 && (p.bits & kLetter); };
  const Scan s(text);
  const Place first = s.at(begin);
  Place second = s.after(first);
  if (first.code < 0x80 && first.is(stop) && ascii_letter(second)) {
    while (ascii_letter(second)) second = s.after(second);
    return second.at;
  }
  const bool prefix = !first.newline() && !first.is(kLetter | stop);
  if (prefix && second.is(word)) return s.skip(second, word).at;
  if (first.is(word)) return s.skip(first, word).at;
  if (first.is(stop) || (first.code == ' ' && second.is(stop))) {
    Place p = s.skip(first.is(stop) ? first : second, stop);
    while (p.newline()) p = s.after(p);
    return p.at;
  }
  return first.is(kSpace) ? s.white_space(first, true) : begin;
}

// \s?C+ or C+ for a class of characters
template <uint16_t any_of, bool space>
size_t class_run(std::string_view text, size_t begin) {
  const Scan s(text);
  const Place first = s.at(begin);
  if (first.is(any_of)) return s.skip(first, any_of).at;
  if (!space || !first.is(kSpace)) return begin;
  const Place second = s.after(first);
  return second.is(any_of) ? s.skip(second, any_of).at : begin;
}

// \p{N}{1,n}
template <int n>
size_t digit_group(std::string_view text, size_t begin) {
  const Scan s(text);
  return s.digits(s.at(begin), n);
}

// [\r\n]
size_t newline_character(std::string_view text, size_t begin) {
  return text[begin] == '\n' || text[begin] == '\r' ? begin + 1 : begin;
}

// Ranges of characters, one or more of them.
template <bool (*in_ranges)(uint32_t)>
size_t range_run(std::string_view text, size_t begin) {
  const Scan s(text);
  Place p = s.at(begin);
  while (p.length > 0 && in_ranges(p.code)) p = s.after(p);
  return p.at;
}
bool in_deepseek_cjk(uint32_t c) { return (c >= 0x800 && c <= 0x9FA5) || (c >= 0xAC00 && c <= 0xD7FF); }
bool in_deepseek_v3_cjk(uint32_t c) { return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF); }

#define PHIAL_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PHIAL_CASED(suffix)                                                                          \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" suffix \
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" suffix
#define PHIAL_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct KnownPattern {
  std::string_view text;
  WordPattern match;
};

}  // namespace

const char* const kCl100kPattern =
    PHIAL_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kQwen2Pattern =
    PHIAL_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kO200kPattern =
    PHIAL_CASED(PHIAL_CONTRACTIONS "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" PHIAL_SPACES;
const char* const kTekkenPattern = PHIAL_CASED("") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" PHIAL_SPACES;

const char* const kYoutuPattern = PHIAL_CASED(PHIAL_CONTRACTIONS "?") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" PHIAL_SPACES;
const char* const kMiniCpm5Pattern =
    PHIAL_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kQwen35Pattern =
    PHIAL_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kUfakzekaPattern = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kSeedCoderPattern =
    PHIAL_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" PHIAL_SPACES;
const char* const kDeepSeekV3Pattern =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" PHIAL_SPACES;
const char* const kDeepSeekCjkPattern = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
const char* const kDeepSeekV3CjkPattern = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";

WordPattern find_word_pattern(std::string_view pattern) {
  static constexpr Cl100kKind kQwen2{.n_digits = 1};
  static const KnownPattern known[] = {
      {kByteLevelPattern, gpt2_word},
      {kCl100kPattern, cl100k_word<Cl100kKind{}>},
      {kQwen2Pattern, cl100k_word<kQwen2>},
      {kMiniCpm5Pattern, cl100k_word<Cl100kKind{.n_digits = INT_MAX}>},
      {kQwen35Pattern, cl100k_word<Cl100kKind{.n_digits = 1, .marks = true}>},
      {kUfakzekaPattern, cl100k_word<Cl100kKind{.n_digits = 1, .contractions = false}>},
      {kSeedCoderPattern, cl100k_word<Cl100kKind{.n_digits = 1, .newlines_of_symbols = false}>},
      {kO200kPattern, o200k_word<3, true>},
      {kYoutuPattern, o200k_word<1, true>},
      {kTekkenPattern, o200k_word<1, false>},
      {kDeepSeekV3Pattern, deepseek_v3_word},
      {kDeepSeekCjkPattern, range_run<in_deepseek_cjk>},
      {kDeepSeekV3CjkPattern, range_run<in_deepseek_v3_cjk>},
      {"[\\r\\n]", newline_character},
      {"[\r\n]", newline_character},
      {"\\s?\\p{L}+", class_run<kLetter, true>},
      {"\\s?\\p{P}+", class_run<kPunctuation, true>},
      {"\\p{N}+", class_run<kNumber, false>},
      {"\\p{N}{1,3}", digit_group<3>},
      {"\\p{N}", digit_group<1>},
  };
  for (const KnownPattern& k : known)
    if (k.text == pattern) return k.match;
  return nullptr;
}

}  // namespace phial
