// Unicode as the tokenizers need it: tolerant UTF-8 decoding, categories, sets, normalization forms.
// Categories come from unicode_table.inc, made from the same regular expression engine that Hugging Face uses, so that
// they do not depend on the Unicode version of the system's libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace phial {

/// One code point of a text. A byte that is not part of valid UTF-8 decodes alone, as kInvalidByte + byte.
struct CodePoint {
  uint32_t code;
  uint32_t length;  // bytes, 1..4
};
constexpr uint32_t kInvalidByte = 0x110000;

/// Decodes at `i` < text.size(). Overlong forms, surrogates and codes above 10FFFF are invalid bytes.
CodePoint decode_utf8(std::string_view text, size_t i);
void append_utf8(std::string& out, uint32_t code);
bool is_valid_utf8(std::string_view text);
bool is_ascii(std::string_view text);

/// Bits of a code point's class. The two-letter categories are exact; letter, mark, number ... are their unions.
enum CharClass : uint16_t {
  kUpper = 1,
  kLower = 2,
  kTitle = 4,
  kModifierLetter = 8,
  kOtherLetter = 16,
  kMark = 32,
  kNumber = 64,
  kPunctuation = 128,
  kSymbol = 256,
  kSpace = 512,
  kJoinsWords = 1024,  // next to an added token with single_word
  kHan = 2048,
  kNormalizing = 4096,       // normalization forms can touch it
  kSplitPunctuation = 8192,  // the pre-tokenizer Punctuation splits at it: ASCII symbols too, and an older Unicode version
  kSplitDigit = 16384,       // the pre-tokenizer Digits splits at it: of a newer Unicode version than kNumber
  kLetter = kUpper | kLower | kTitle | kModifierLetter | kOtherLetter,
};

/// The class of every code point in two stages: a page number for each 256 codes, and the distinct pages.
struct CharClassTable {
  const uint16_t* page;
  const uint16_t* classes;
  uint16_t operator[](uint32_t code) const {
    return code < kInvalidByte ? classes[page[code >> 8] * size_t{256} + (code & 255)] : 0;
  }
};
const CharClassTable& char_class_table();
/// 0 for unassigned codes and invalid bytes.
inline uint16_t char_class(uint32_t code) { return char_class_table()[code]; }
inline bool is_space(uint32_t code) { return char_class(code) & kSpace; }

/// Ranges of code points (first, last) of a property name as regular expressions write it: L, Lu, N, Nd, P, Han, Word,
/// Space ... Empty when the table does not hold that name (other scripts, blocks).
std::vector<std::pair<uint32_t, uint32_t>> property_ranges(std::string_view name);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
/// Normalizes the valid parts of the text; invalid bytes stay.
std::string normalize_unicode(std::string_view text, NormalForm form);
/// Full lower-case mapping of each code point alone.
std::string lowercase_unicode(std::string_view text);

/// The printable alphabet of byte-level BPE: byte -> code point, and back (-1 = not in the alphabet).
uint32_t byte_to_alphabet(uint8_t byte);
int alphabet_to_byte(uint32_t code);
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace phial
