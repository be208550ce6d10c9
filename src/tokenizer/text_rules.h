// The normalizer and pre-tokenizer rules of a tokenizer.json, as data, and the reading and writing of their JSON.
// Source: the components of Hugging Face's `tokenizers` library. A component not listed here is refused by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace phial {

enum class NormalizerKind { nfc, nfd, nfkc, nfkd, lowercase, strip, replace, prepend };

struct NormalizerStep {
  NormalizerKind kind = NormalizerKind::nfc;
  std::string pattern;             // replace
  bool is_regex = false;           // replace: pattern is a regular expression, else literal text
  std::string content;             // replace, prepend
  bool left = true, right = true;  // strip
};

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
enum class PrependScheme { first, always, never };
enum class PreTokenizerKind { split, digits, punctuation, whitespace, whitespace_split, byte_level, metaspace };

struct PreTokenizerStep {
  PreTokenizerKind kind = PreTokenizerKind::split;
  std::string pattern;                                   // split
  bool is_regex = true;                                  // split
  SplitBehavior behavior = SplitBehavior::isolated;      // split, punctuation
  bool invert = false;                                   // split
  bool individual_digits = false;                        // digits
  bool add_prefix_space = false, use_regex = true;       // byte_level
  std::string replacement = "\xE2\x96\x81";              // metaspace: U+2581
  PrependScheme prepend_scheme = PrependScheme::always;  // metaspace
  bool split = true;                                     // metaspace
};

struct TextRules {
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  bool strip_prefix_space = false;  // decoding takes one space off the front of the text (spm)
};

/// From the JSON of a "normalizer" / "pre_tokenizer" value ("null" = none). Sequences are flattened. Throws VOCAB with `where`.
std::vector<NormalizerStep> parse_normalizer(std::string_view json, const std::string& where);
std::vector<PreTokenizerStep> parse_pre_tokenizer(std::string_view json, const std::string& where);
/// The JSON of the rules: reading it again gives the same rules.
std::string normalizer_json(const std::vector<NormalizerStep>& steps);
std::string pre_tokenizer_json(const std::vector<PreTokenizerStep>& steps);

/// ByteLevel's own pattern (GPT-2's).
extern const char* const kByteLevelPattern;

}  // namespace phial
