// The normalizer rules, in order; what a hostile chain of them may grow to is bounded.
#include "tokenizer/normalizer.h"

#include "base/fail.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

// A hostile chain of replacements must not fill the memory; real ones grow a text at most 18 times (NFKD).
constexpr size_t kMaxGrowth = 64;
constexpr size_t kFreeBytes = 1 << 20;

std::string strip(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const CodePoint c = decode_utf8(text, begin);
    if (!is_space(c.code)) break;
    begin += c.length;
  }
  if (right) {
    size_t last = begin;  // end of the last code point that is not white space
    for (size_t i = begin; i < end;) {
      const CodePoint c = decode_utf8(text, i);
      i += c.length;
      if (!is_space(c.code)) last = i;
    }
    end = last;
  }
  return std::string(text.substr(begin, end - begin));
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4 + to.size());
  size_t i = 0;
  for (size_t hit; (hit = text.find(from, i)) != std::string_view::npos; i = hit + from.size()) {
    out += text.substr(i, hit - i);
    out += to;
  }
  out += text.substr(i);
  return out;
}

Normalizer::Normalizer(const std::vector<NormalizerStep>& steps) {
  for (const NormalizerStep& s : steps) {
    Compiled c{s, {}};
    if (s.kind == NormalizerKind::replace && s.is_regex) c.regex.emplace_back(s.pattern);
    steps_.push_back(std::move(c));
  }
}

std::string Normalizer::apply(std::string_view text, RegexBudget& budget) const {
  std::string now(text);
  const size_t limit = text.size() * kMaxGrowth + kFreeBytes;
  for (const Compiled& c : steps_) {
    switch (c.step.kind) {
      case NormalizerKind::nfc:
        now = normalize_unicode(now, NormalForm::nfc);
        break;
      case NormalizerKind::nfd:
        now = normalize_unicode(now, NormalForm::nfd);
        break;
      case NormalizerKind::nfkc:
        now = normalize_unicode(now, NormalForm::nfkc);
        break;
      case NormalizerKind::nfkd:
        now = normalize_unicode(now, NormalForm::nfkd);
        break;
      case NormalizerKind::lowercase:
        now = lowercase_unicode(now);
        break;
      case NormalizerKind::strip:
        now = strip(now, c.step.left, c.step.right);
        break;
      case NormalizerKind::prepend:
        if (!now.empty()) now.insert(0, c.step.content);
        break;
      case NormalizerKind::replace: {
        const std::string& to = c.step.content;
        if (!c.step.is_regex) {
          if (c.step.pattern.empty()) break;
          size_t hits = 0;
          for (size_t i = 0; (i = now.find(c.step.pattern, i)) != std::string::npos; i += c.step.pattern.size()) ++hits;
          if (to.size() > c.step.pattern.size() && hits * (to.size() - c.step.pattern.size()) > limit)
            fail(ErrorCode::budget, "the model's normalizer rules blow a text of {} bytes up beyond {}", text.size(), limit);
          if (hits > 0) now = replace_all(now, c.step.pattern, to);
          break;
        }
        std::string out;
        size_t done = 0;
        Regex::Finder finder(c.regex[0], budget);
        finder.start(now);
        for (Regex::Match m; finder.next(m) && out.size() <= limit; done = m.end) {
          out.append(now, done, m.begin - done);
          out += to;
        }
        out.append(now, done);
        now = std::move(out);
      }
    }
    if (now.size() > limit)
      fail(ErrorCode::budget, "the model's normalizer rules blow a text of {} bytes up beyond {}", text.size(), limit);
  }
  return now;
}

}  // namespace phial
