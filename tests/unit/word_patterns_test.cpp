// The hand-written matchers give what their patterns give under the regular expressions, at every place of a text.
#include "tokenizer/word_patterns.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tokenizer/pre_names.h"
#include "tokenizer/regex.h"
#include "tokenizer/text_rules.h"
#include "tokenizer/unicode.h"

using namespace phial;

namespace {

const std::vector<std::string>& snippets() {
  static const std::vector<std::string> all = {
      "'s",     "'S",     "'\u017F", "'re",    "'LL",    "'v",     "a",    "Z",          "\u01C5", "\u02B0",
      "\u4E2D", "\u0301", "1",       "\u00BD", " ",      "  ",     "\n",   "\r",         "\t",     "\u00A0",
      ".",      "/",      "_",       "-",      "$",      "\u20AC", "\xFF", "\U000F0000", "\u200B", "\U00010400",
      "\u3042", "\uAC00", "\u0801",  "\u3000", "\u2028", "\x01",   "abc",  "12345",      "...",    "\u0378"};
  return all;
}

/// Where the matcher first disagrees with the pattern on a text; npos when nowhere.
size_t first_difference(const Regex& regex, WordPattern known, const std::string& text) {
  RegexBudget budget(text.size());
  Regex::Finder finder(regex, budget);
  finder.start(text);
  size_t at = 0;
  const auto skip_to = [&](size_t end) {
    for (; at < end; at += decode_utf8(text, at).length)
      if (known(text, at) != at) return false;
    return true;
  };
  for (Regex::Match m; finder.next(m); at = m.end)
    if (!skip_to(m.begin) || known(text, m.begin) != m.end) return at;
  return skip_to(text.size()) ? std::string::npos : at;
}

}  // namespace

TEST_CASE("hand-written matchers give what their patterns give") {
  for (const char* pattern :
       {kByteLevelPattern,     kCl100kPattern, kQwen2Pattern,    kO200kPattern,     kTekkenPattern,     kYoutuPattern,
        kMiniCpm5Pattern,      kQwen35Pattern, kUfakzekaPattern, kSeedCoderPattern, kDeepSeekV3Pattern, kDeepSeekCjkPattern,
        kDeepSeekV3CjkPattern, "[\\r\\n]",     "[\r\n]",         "\\s?\\p{L}+",     "\\s?\\p{P}+",      "\\p{N}+",
        "\\p{N}{1,3}",         "\\p{N}"}) {
    CAPTURE(pattern);
    const WordPattern known = find_word_pattern(pattern);
    REQUIRE((known != nullptr));
    const Regex regex(pattern);
    std::mt19937 random(1);
    int wrong = 0;
    for (int round = 0; round < 3000 && wrong == 0; ++round) {
      std::string text;
      for (size_t n = random() % 12; n-- > 0;) text += snippets()[random() % snippets().size()];
      if (const size_t at = first_difference(regex, known, text); at != std::string::npos) {
        FAIL_CHECK("at " << at << " of " << text);
        ++wrong;
      }
    }
    // Every code point between letters, digits and white space.
    for (uint32_t code = 0; code < 0x110000 && wrong == 0; code += code < 0x3200 ? 1 : 61) {
      if (code >= 0xD800 && code < 0xE000) continue;
      std::string c;
      append_utf8(c, code);
      const std::string text = "a" + c + " " + c + c + "7" + c + "\n" + c + "'" + c;
      if (const size_t at = first_difference(regex, known, text); at != std::string::npos) {
        FAIL_CHECK("code point " << code << ", at " << at);
        ++wrong;
      }
    }
  }
  CHECK((find_word_pattern("\\p{L}") == nullptr));
}

TEST_CASE("names of pre-tokenizers: the first name of each row is what conversion writes") {
  for (const char* name :
       {"gpt-2",  "mpt",          "llama-bpe",      "dbrx",        "qwen2",      "gpt-4o",     "tekken",     "starcoder",
        "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5",   "bloom",      "viking",     "jais-2",
        "youtu",  "chameleon",    "tiny_aya",       "kimi-k2",     "superbpe",   "bailingmoe", "seed-coder", "ufakzeka",
        "afmoe",  "laguna",       "exaone-moe",     "minicpm5",    "k2-horizon", "default"}) {
    CAPTURE(name);
    const auto named = rules_of_pre_name(name);
    REQUIRE(named.has_value());
    CHECK(pre_name_of_rules(named->rules, named->ignore_merges) == name);
  }
  CHECK_FALSE(rules_of_pre_name("never-heard-of").has_value());
  CHECK_FALSE(rules_of_pre_name("").has_value());
  // Newlines may stand in a published pattern as they are.
  TextRules rules = rules_of_pre_name("deepseek-coder")->rules;
  rules.pre_tokenizer[0].pattern = "[\r\n]";
  CHECK(pre_name_of_rules(rules, false) == "deepseek-coder");
}
