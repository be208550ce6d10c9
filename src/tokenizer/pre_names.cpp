// The table. Patterns are those published in the models' tokenizer.json files.
#include "tokenizer/pre_names.h"

#include <algorithm>
#include <vector>

#include "tokenizer/word_patterns.h"

namespace phial {
namespace {

constexpr const char* kBloom = " ?[^(\\s|[.,!?\xE2\x80\xA6\xE3\x80\x82\xEF\xBC\x8C\xE3\x80\x81\xE0\xA5\xA4\xDB\x94\xD8\x8C])]+";
constexpr const char* kCjk = "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+";
constexpr const char* kDeepSeekV3Cjk = "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+";
constexpr const char* kDeepSeekV3 =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

PreTokenizerStep split(const char* pattern) {
  PreTokenizerStep s;
  s.pattern = pattern;
  return s;
}
PreTokenizerStep digits(bool individual) {
  PreTokenizerStep s;
  s.kind = PreTokenizerKind::digits;
  s.individual_digits = individual;
  return s;
}
PreTokenizerStep byte_level(bool use_regex) {
  PreTokenizerStep s;
  s.kind = PreTokenizerKind::byte_level;
  s.use_regex = use_regex;
  return s;
}
PreTokenizerStep punctuation(SplitBehavior behavior) {
  PreTokenizerStep s;
  s.kind = PreTokenizerKind::punctuation;
  s.behavior = behavior;
  return s;
}

struct Row {
  std::vector<const char*> names;  // the first is the one we write
  std::vector<PreTokenizerStep> steps;
  bool ignore_merges = false, add_bos = false, nfc = false;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v2-code", "gigachat", "roberta-bpe", "exaone4",
        "mellum", "a.x-4.0", "modern-bert"},
       {byte_level(true)}},
      {{"mpt", "olmo", "jais"}, {byte_level(true)}, false, false, true},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {split(kCl100kPattern), byte_level(false)},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "grok-2"}, {split(kCl100kPattern), byte_level(false)}},
      {{"qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan"},
       {split(kQwen2Pattern), byte_level(false)},
       false,
       false,
       true},
      {{"gpt-4o", "llama4"}, {split(kO200kPattern), byte_level(false)}},
      {{"tekken"}, {split(kTekkenPattern), byte_level(false)}, true, true},
      {{"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "command-r"}, {digits(true), byte_level(true)}},
      {{"falcon"}, {punctuation(SplitBehavior::contiguous), byte_level(true), digits(false), split("[0-9][0-9][0-9]")}},
      {{"deepseek-coder"},
       {split("[\\r\\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(kCjk), digits(true), byte_level(false)}},
      {{"deepseek-v3", "deepseek-r1"}, {split("\\p{N}{1,3}"), split(kDeepSeekV3Cjk), split(kDeepSeekV3), byte_level(false)}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {split(kBloom), byte_level(false)}},
      {{"viking"}, {split(kBloom), digits(true), byte_level(false)}},
      {{"default"},
       {split("[\\p{P}\\$\\+<=>\\^~\\|]+"), split(kByteLevelPattern), split("\\p{N}+"), split("[0-9][0-9][0-9]"),
        byte_level(false)}},
  };
  return rows;
}

/// Rules with the same words are made equal: where a pattern matches at every position, "removed, inverted" is "isolated";
/// ByteLevel(use_regex) is its pattern and ByteLevel without.
std::vector<PreTokenizerStep> canonical(const std::vector<PreTokenizerStep>& steps) {
  std::vector<PreTokenizerStep> out;
  for (PreTokenizerStep s : steps) {
    if (s.kind == PreTokenizerKind::byte_level && s.use_regex && !s.add_prefix_space) {
      out.push_back(split(kByteLevelPattern));
      s.use_regex = false;
    }
    const bool covers = s.pattern.ends_with("|\\s+");  // every pattern here that ends so matches everywhere
    if (s.kind == PreTokenizerKind::split && s.is_regex && covers && s.invert && s.behavior == SplitBehavior::removed) {
      s.invert = false;
      s.behavior = SplitBehavior::isolated;
    }
    const bool single = s.kind == PreTokenizerKind::split && s.is_regex && s.behavior == SplitBehavior::isolated;
    if (single && s.pattern == "\\p{N}") s = digits(true);
    out.push_back(std::move(s));
  }
  return out;
}

bool same(const PreTokenizerStep& a, const PreTokenizerStep& b) {
  return a.kind == b.kind && a.pattern == b.pattern && a.is_regex == b.is_regex && a.behavior == b.behavior &&
         a.invert == b.invert && a.individual_digits == b.individual_digits && a.add_prefix_space == b.add_prefix_space &&
         (a.kind != PreTokenizerKind::byte_level || a.use_regex == b.use_regex) &&
         (a.kind != PreTokenizerKind::metaspace ||
          (a.replacement == b.replacement && a.prepend_scheme == b.prepend_scheme && a.split == b.split));
}

}  // namespace

std::optional<NamedRules> rules_of_pre_name(std::string_view name) {
  for (const Row& row : table()) {
    if (std::find(row.names.begin(), row.names.end(), name) == row.names.end()) continue;
    NamedRules out;
    out.rules.pre_tokenizer = row.steps;
    if (row.nfc) out.rules.normalizer = {{NormalizerKind::nfc, "", false, "", true, true}};
    out.ignore_merges = row.ignore_merges;
    out.add_bos = row.add_bos;
    return out;
  }
  return std::nullopt;
}

std::string pre_name_of_rules(const TextRules& rules, bool ignore_merges) {
  const bool nfc = rules.normalizer.size() == 1 && rules.normalizer[0].kind == NormalizerKind::nfc;
  if (!rules.normalizer.empty() && !nfc) return "";
  const std::vector<PreTokenizerStep> wanted = canonical(rules.pre_tokenizer);
  std::string found;
  for (const Row& row : table()) {
    const std::vector<PreTokenizerStep> has = canonical(row.steps);
    if (row.ignore_merges != ignore_merges) continue;
    if (!std::equal(wanted.begin(), wanted.end(), has.begin(), has.end(), same)) continue;
    if (found.empty() || row.nfc == nfc) found = row.names[0];
    if (row.nfc == nfc) break;
  }
  return found;
}

}  // namespace phial
