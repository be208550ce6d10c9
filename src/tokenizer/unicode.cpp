// UTF-8, character classes from the generated table, normalization forms by utf8proc, the byte alphabet.
#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <memory>

#include "base/fail.h"

namespace phial {
namespace {

struct CategoryStart {
  uint32_t first;
  uint8_t category;
};
struct CodeRange {
  uint32_t first, last;
};
struct LowercaseRun {
  uint32_t first, last, step;
  int32_t delta;
};
#include "tokenizer/unicode_table.inc"

constexpr std::array<const char*, 30> kCategoryNames = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                                        "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                                        "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

uint16_t class_of_category(int category) {
  switch (kCategoryNames[category][0]) {
    case 'L':
      switch (kCategoryNames[category][1]) {
        case 'u':
          return kUpper;
        case 'l':
          return kLower;
        case 't':
          return kTitle;
        case 'm':
          return kModifierLetter;
        default:
          return kOtherLetter;
      }
    case 'M':
      return kMark;
    case 'N':
      return kNumber;
    case 'P':
      return kPunctuation;
    case 'S':
      return kSymbol;
    default:
      return 0;
  }
}

struct ClassStorage {
  std::array<uint16_t, 0x1100> page{};
  std::vector<uint16_t> classes;
  CharClassTable table{};

  ClassStorage() {
    std::vector<uint16_t> all(0x110000, 0);
    for (size_t i = 0; i < std::size(kCategoryStarts); ++i) {
      const uint32_t end = i + 1 < std::size(kCategoryStarts) ? kCategoryStarts[i + 1].first : 0x110000;
      const uint16_t bits = class_of_category(kCategoryStarts[i].category);
      std::fill(all.begin() + kCategoryStarts[i].first, all.begin() + end, bits);
    }
    auto mark = [&](const auto& ranges, uint16_t bit) {
      for (const CodeRange& r : ranges)
        for (uint32_t c = r.first; c <= r.last; ++c) all[c] |= bit;
    };
    mark(kJoinsWordsRanges, kJoinsWords);
    mark(kHanRanges, kHan);
    mark(kSpaceRanges, kSpace);
    mark(kSplitDigitRanges, kSplitDigit);
    mark(kSplitPunctuationRanges, kSplitPunctuation);
    mark(kNormalizingRanges, kNormalizing);
    for (size_t p = 0; p < page.size(); ++p) {
      const uint16_t* from = all.data() + p * 256;
      size_t known = 0;
      while (known < classes.size() / 256 && !std::equal(from, from + 256, classes.data() + known * 256)) ++known;
      if (known == classes.size() / 256) classes.insert(classes.end(), from, from + 256);
      page[p] = static_cast<uint16_t>(known);
    }
    table = {page.data(), classes.data()};
  }
};

struct ByteAlphabet {
  std::array<uint32_t, 256> code{};
  std::array<int16_t, 512> byte{};
  ByteAlphabet() {
    byte.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool printable_byte = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      code[b] = printable_byte ? b : next++;
      byte[code[b]] = static_cast<int16_t>(b);
    }
  }
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t i) {
  const auto at = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint32_t b = at(i);
  if (b < 0x80) return {b, 1};
  const size_t length = b >= 0xC2 && b < 0xE0 ? 2 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xF0 && b < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() - i < length) return {kInvalidByte + b, 1};
  uint32_t code = b & (0xFFu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    if ((at(i + k) & 0xC0) != 0x80) return {kInvalidByte + b, 1};
    code = code << 6 | (at(i + k) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {kInvalidByte + b, 1};
  return {code, static_cast<uint32_t>(length)};
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < kInvalidByte) {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(code - kInvalidByte);
  }
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const CodePoint c = decode_utf8(text, i);
    if (c.code >= kInvalidByte) return false;
    i += c.length;
  }
  return true;
}

const CharClassTable& char_class_table() {
  static const ClassStorage storage;
  return storage.table;
}

std::vector<std::pair<uint32_t, uint32_t>> property_ranges(std::string_view name) {
  std::string wanted;  // property names ignore case, spaces, '-' and '_'
  for (char c : name)
    if (c != ' ' && c != '-' && c != '_') wanted += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {{"letter", "l"},
                                                                          {"mark", "m"},
                                                                          {"number", "n"},
                                                                          {"punctuation", "p"},
                                                                          {"symbol", "s"},
                                                                          {"separator", "z"},
                                                                          {"other", "c"},
                                                                          {"uppercaseletter", "lu"},
                                                                          {"lowercaseletter", "ll"},
                                                                          {"titlecaseletter", "lt"},
                                                                          {"modifierletter", "lm"},
                                                                          {"otherletter", "lo"},
                                                                          {"nonspacingmark", "mn"},
                                                                          {"spacingmark", "mc"},
                                                                          {"enclosingmark", "me"},
                                                                          {"decimalnumber", "nd"},
                                                                          {"letternumber", "nl"},
                                                                          {"othernumber", "no"},
                                                                          {"digit", "nd"},
                                                                          {"whitespace", "space"}};
  for (const auto& [longer, shorter] : kLongNames)
    if (wanted == longer) wanted = shorter;
  std::vector<std::pair<uint32_t, uint32_t>> out;
  auto copy = [&](const auto& ranges) {
    for (const CodeRange& r : ranges) out.emplace_back(r.first, r.last);
  };
  if (wanted == "word") {
    copy(kWordRanges);
  } else if (wanted == "han") {
    copy(kHanRanges);
  } else if (wanted == "space") {
    copy(kSpaceRanges);
  } else if (wanted.size() == 1 || wanted.size() == 2) {
    for (size_t i = 0; i < std::size(kCategoryStarts); ++i) {
      const char* category = kCategoryNames[kCategoryStarts[i].category];
      if (std::tolower(category[0]) != wanted[0] || (wanted.size() == 2 && category[1] != wanted[1])) continue;
      const uint32_t last = (i + 1 < std::size(kCategoryStarts) ? kCategoryStarts[i + 1].first : 0x110000) - 1;
      const uint32_t first = kCategoryStarts[i].first;
      if (!out.empty() && out.back().second + 1 == first)
        out.back().second = last;
      else
        out.emplace_back(first, last);
    }
  }
  return out;
}

std::string normalize_unicode(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  std::string out;
  out.reserve(text.size());
  // Only stretches that the forms can touch are given away; a code point that Hugging Face's tables do not know as such (it
  // may be newer than they are) stays as it is, whatever the library's version.
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text, end);
      if (!(char_class(c.code) & kNormalizing)) break;
      end += c.length;
    }
    if (end > begin) {
      utf8proc_uint8_t* mapped = nullptr;
      const auto* from = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + begin);
      const utf8proc_ssize_t n =
          utf8proc_map(from, static_cast<utf8proc_ssize_t>(end - begin), &mapped, static_cast<utf8proc_option_t>(options));
      const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
      if (n < 0) fail(ErrorCode::vocab, "Unicode normalization failed: {}", utf8proc_errmsg(n));
      out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(n));
    }
    for (begin = end; begin < text.size();) {
      const CodePoint c = decode_utf8(text, begin);
      if (char_class(c.code) & kNormalizing) break;
      out += text.substr(begin, c.length);
      begin += c.length;
    }
  }
  return out;
}

std::string lowercase_unicode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    i += c.length;
    const auto* run = std::upper_bound(std::begin(kLowercaseRuns), std::end(kLowercaseRuns), c.code,
                                       [](uint32_t code, const LowercaseRun& r) { return code < r.first; });
    const bool inside = run != std::begin(kLowercaseRuns) && c.code <= (--run)->last && (c.code - run->first) % run->step == 0;
    if (c.code == 0x130)
      out += "i\xCC\x87";  // the one code point whose lower case is two
    else
      append_utf8(out, inside ? c.code + static_cast<uint32_t>(run->delta) : c.code);
  }
  return out;
}

uint32_t byte_to_alphabet(uint8_t byte) { return byte_alphabet().code[byte]; }

int alphabet_to_byte(uint32_t code) { return code < 512 ? byte_alphabet().byte[code] : -1; }

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char b : bytes) append_utf8(out, byte_to_alphabet(static_cast<uint8_t>(b)));
  return out;
}

}  // namespace phial
