// The converter's self-check: one text, tokenized by every description of the vocabulary that there is.
#include <algorithm>

#include "base/fail.h"
#include "phial/tokenizer.h"
#include "tokenizer/vocab.h"
#include "tokenizer/vocab_parts.h"

namespace phial {
namespace {

constexpr std::string_view kText =
    "The quick brown fox doesn't jump; it's 3.14159 and 1,000,000 = 10^6.  Two spaces,   three,\ttabs\t\tand\n\nblank lines\r\n"
    " leading, trailing \n \n\t \nWE'LL you'RE I'm they'd HE'S camelCaseWords HTTPServer snake_case __init__ x86_64 0x1F\n"
    "if (a[i] != b->c) { return -1; } // ===== \n    def f(x): return x**2 # \"quotes\" 'single' `ticks`\n"
    "Gr\u00f6\u00dfe na\u00efve fa\u00e7ade \u00c5ngstr\u00f6m e\u0301 \ufb01 \u2019s \u00bd \u00b2 \u2167 "
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 "
    "\u039a\u03cc\u03c3\u03bc\u03b5 "
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e "
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 "
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u30ab\u30bf\u30ab\u30ca "
    "\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8 "
    "Ti\u1ebfng Vi\u1ec7t \u10a0\u10a1\u10a2 \u12a0\u121b\u122d\u129b "
    "\xF0\x9F\x98\x80\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \xF0\x9F\x87\xA9\xF0\x9F\x87\xAA "
    "\xF0\x9F\x9A\x80\xF0\x9F\x9A\x80 "
    "\xC2\xA0nbsp\xE3\x80\x80wide\xE2\x80\x8Bzero \xEF\xBB\xBF"
    "bom \xC3\x28 \xED\xA0\x80 \xFF"
    " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ................................ 12345678901234567890";

void compare(const Tokenizer& a, const Tokenizer& b, std::string_view text, const char* what) {
  for (const bool parse_special : {false, true}) {
    const std::vector<int32_t> left = a.encode(text, true, parse_special), right = b.encode(text, true, parse_special);
    if (left == right) continue;
    const auto [l, r] = std::mismatch(left.begin(), left.end(), right.begin(), right.end());
    const auto at = static_cast<size_t>(l - left.begin());
    const std::string before = a.decode(std::span(left).first(at), true);
    fail(ErrorCode::vocab,
         "self-check of the tokenizer: {} differ at token {}: {} and {}, behind the text '{}'; the checkpoint's "
         "tokenizer files do not go together",
         what, at, l == left.end() ? -1 : *l, r == right.end() ? -1 : *r,
         printable(before.size() > 60 ? std::string_view(before).substr(before.size() - 60) : before));
  }
  const std::vector<int32_t> left = a.encode(text, true, true);
  if (a.decode(left, true) != b.decode(left, true))
    fail(ErrorCode::vocab, "self-check of the tokenizer: {} decode differently", what);
}

}  // namespace

void check_vocab_of_folder(const std::string& folder, const Vocab& vocab) {
  std::string text(kText);
  for (const AddedToken& a : vocab.added) (((text += "x ") += a.text) += " \n y ") += a.text;
  const Tokenizer tokenizer(vocab);

  Metadata metadata;
  vocab_to_metadata(vocab, metadata);
  compare(tokenizer, Tokenizer(vocab_from_metadata(metadata)), text, "the checkpoint and the GGUF file");
  if (vocab.model == VocabModel::spm && vocab.ties != MergeTies::listed) {
    const Vocab listed = vocab_from_folder_with_listed_merges(folder, static_cast<int64_t>(vocab.tokens.size()));
    if (listed.ties == MergeTies::listed) compare(Tokenizer(listed), tokenizer, text, "tokenizer.json and tokenizer.model");
  }
}

}  // namespace phial
