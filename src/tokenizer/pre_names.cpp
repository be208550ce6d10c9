// The table. Patterns are those published in the models' tokenizer.json files.
#include "tokenizer/pre_names.h"

#include <algorithm>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/vocab_parts.h"
#include "tokenizer/word_patterns.h"

namespace phial {
namespace {

constexpr const char* kBloom = " ?[^(\\s|[.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C])]+";
#define PHIAL_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PHIAL_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr const char* kSpark =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+";
// The casing letters of the scripts that have cases.
constexpr const char* kDeepSeekLetters =
    "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376"
    "\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556"
    "\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15"
    "\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE"
    "\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113"
    "\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00"
    "-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-"
    "\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-"
    "\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943]+";
constexpr const char* kDeepSeekStops = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+";
constexpr const char* kAfmoeScripts =
    "[\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\u3040-\u309F\u30A0-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF\u0E40-\u0E7F\u0E80-\u0EFF"
    "\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF\u1100-\u11FF]+";
constexpr const char* kYoutuScripts =
    "[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+"
    "|[\u3105-\u312F]+|[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
// Digits in threes, counted from the right.
constexpr const char* kAfmoeDigits = "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))";
constexpr const char* kAyaDigits = "\\d{1,3}(?=(?:\\d{3})*\\b)";
constexpr const char* kJais2 = PHIAL_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|"
    "\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|"
    "\\s{1}";
constexpr const char* kExaoneMoe = PHIAL_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|"
    "\\s+(?!\\S)|\\s+";
constexpr const char* kBailing =
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
constexpr const char* kHorizon = PHIAL_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}|\\p{M}|\\u200C|\\u200D)+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;
#define PHIAL_UPPER_NOT_HAN "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define PHIAL_LOWER_NOT_HAN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
constexpr const char* kKimi = "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?" PHIAL_UPPER_NOT_HAN "*" PHIAL_LOWER_NOT_HAN
                              "+" PHIAL_CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" PHIAL_UPPER_NOT_HAN "+" PHIAL_LOWER_NOT_HAN
                              "*" PHIAL_CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" PHIAL_SPACES;

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
  bool plain_text = false;  // as NamedRules; spaces become U+2581
};

const std::vector<Row>& table() {
  const PreTokenizerStep bytes = byte_level(false), gpt2 = byte_level(true);
  static const std::vector<Row> rows = {
      {.names = {"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "gigachat",
                 "roberta-bpe", "exaone4", "mellum", "a.x-4.0", "modern-bert", "trillion", "granite-docling"},
       .steps = {gpt2}},
      {.names = {"mpt", "olmo", "jais"}, .steps = {gpt2}, .nfc = true},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
       .steps = {split(kCl100kPattern), bytes},
       .ignore_merges = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5"}, .steps = {split(kCl100kPattern), bytes}},
      {.names = {"qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "f2llmv2"},
       .steps = {split(kQwen2Pattern), bytes},
       .nfc = true},
      {.names = {"grok-2", "kormo", "solar-open"}, .steps = {split(kQwen2Pattern), bytes}},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, .steps = {split(kO200kPattern), bytes}},
      {.names = {"granite-embed-multi-97m"}, .steps = {split(kO200kPattern), bytes}, .ignore_merges = true},
      {.names = {"tekken"}, .steps = {split(kTekkenPattern), bytes}, .ignore_merges = true, .add_bos = true},
      {.names = {"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "command-r", "mellum2"},
       .steps = {digits(true), gpt2}},
      {.names = {"falcon"}, .steps = {punctuation(SplitBehavior::contiguous), gpt2, digits(false), split("[0-9][0-9][0-9]")}},
      {.names = {"deepseek-llm"},
       .steps = {split("[\r\n]"), split(kDeepSeekLetters), split(kDeepSeekStops), split("\\s+$"), split(kDeepSeekCjkPattern),
                 digits(true), bytes}},
      {.names = {"deepseek-coder"},
       .steps = {split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(kDeepSeekCjkPattern), digits(true), bytes}},
      {.names = {"deepseek-v3", "deepseek-r1", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .steps = {split("\\p{N}{1,3}"), split(kDeepSeekV3CjkPattern), split(kDeepSeekV3Pattern), bytes}},
      {.names = {"spark2_5"}, .steps = {split("\\p{N}{1,3}"), split(kDeepSeekV3CjkPattern), split(kSpark), digits(true), bytes}},
      {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .steps = {split(kBloom), bytes}},
      {.names = {"viking"}, .steps = {split(kBloom), digits(true), bytes}},
      {.names = {"jais-2"}, .steps = {split(kJais2), bytes}},
      {.names = {"youtu"}, .steps = {split(kYoutuScripts), split(kYoutuPattern), bytes}, .ignore_merges = true},
      {.names = {"qwen35"}, .steps = {split(kQwen35Pattern), bytes}, .nfc = true},
      {.names = {"chameleon"},
       .steps = {split("<sentinel:[0-9]+>"), split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"), split("([\\t\\n]|    |  )"),
                 digits(true), punctuation(SplitBehavior::isolated), gpt2},
       .add_bos = true},
      {.names = {"tiny_aya", "cohere2moe"}, .steps = {split(kAyaDigits), split(kO200kPattern), bytes}},
      {.names = {"kimi-k2"}, .steps = {split(kKimi), bytes}},
      {.names = {"superbpe"}, .steps = {split("\\p{N}+"), split("(?=(\\d{3})+(?!\\d))"), bytes}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"}, .steps = {split(kBailing), bytes}},
      {.names = {"seed-coder"}, .steps = {split(kSeedCoderPattern), bytes}},
      {.names = {"ufakzeka"}, .steps = {split(kUfakzekaPattern), bytes}},
      {.names = {"afmoe"}, .steps = {split(kAfmoeDigits), split(kAfmoeScripts), split(kDeepSeekV3Pattern), bytes}},
      {.names = {"laguna"}, .steps = {split("[^\\n]+|[\\n]+"), split(kQwen2Pattern), bytes}},
      {.names = {"exaone-moe"}, .steps = {split(kExaoneMoe), bytes}},
      {.names = {"minicpm5"}, .steps = {split("\\p{N}{1,3}"), split(kMiniCpm5Pattern), bytes}, .ignore_merges = true},
      {.names = {"k2-horizon"}, .steps = {split(kHorizon), bytes}},
      {.names = {"gemma4", "granite-embed-multi-311m"}, .steps = {}, .add_bos = true, .plain_text = true},
      {.names = {"sarvam-moe"}, .steps = {}, .plain_text = true},
      {.names = {"default"},
       .steps = {split("[\\p{P}\\$\\+<=>\\^~\\|]+"), split(kByteLevelPattern), split("\\p{N}+"), split("[0-9][0-9][0-9]"),
                 bytes}},
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
    s.pattern = replace_all(replace_all(s.pattern, "\r", "\\r"), "\n", "\\n");  // published either way
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
    if (row.plain_text) out.rules.normalizer = {{NormalizerKind::replace, " ", false, std::string(kSpaceMark), true, true}};
    out.plain_text = row.plain_text;
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
    if (row.ignore_merges != ignore_merges || row.plain_text) continue;
    if (!std::equal(wanted.begin(), wanted.end(), has.begin(), has.end(), same)) continue;
    if (found.empty() || row.nfc == nfc) found = row.names[0];
    if (row.nfc == nfc) break;
  }
  return found;
}

}  // namespace phial
