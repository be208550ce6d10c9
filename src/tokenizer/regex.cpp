// Oniguruma behind a small interface: compile with our own character properties, search with escalating step limits.
#include "tokenizer/regex.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <mutex>
#include <vector>

#include "base/fail.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

constexpr size_t kMaxPatternBytes = 64 << 10;
constexpr unsigned kMaxParseDepth = 100;        // nested groups; bounds the stack the parser uses
constexpr unsigned kMaxMatchStack = 8'000'000;  // backtracking entries, about 50 bytes each

void initialize_onig() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    onig_initialize(encodings, 1);
    onig_set_parse_depth_limit(kMaxParseDepth);
  });
}

std::string onig_message(int code, OnigErrorInfo* info = nullptr) {
  UChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int n = info ? onig_error_code_to_str(text, code, info) : onig_error_code_to_str(text, code);
  return std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(std::max(n, 0)));
}

const UChar* as_onig(std::string_view text) { return reinterpret_cast<const UChar*>(text.data()); }

std::string class_members(const std::vector<std::pair<uint32_t, uint32_t>>& ranges) {
  std::string out;
  for (const auto& [first, last] : ranges) {
    if (first >= 0xD800 && last <= 0xDFFF) continue;  // surrogates are not code points of a text
    if (first == last)
      out += fmt::format("\\x{{{:X}}}", first);
    else
      out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", first, last);
  }
  return out;
}

}  // namespace

std::string with_own_properties(std::string_view pattern) {
  std::string out;
  size_t i = 0;
  int class_depth = 0;
  auto emit = [&](std::string_view name, bool negative, std::string_view as_written) {
    const std::string members = class_members(property_ranges(name));
    if (members.empty())
      out += as_written;
    else if (!negative && class_depth > 0)
      out += members;
    else
      out += (negative ? "[^" : "[") + members + "]";
  };
  while (i < pattern.size()) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[i + 1];
      if ((next == 'p' || next == 'P') && i + 2 < pattern.size() && pattern[i + 2] == '{') {
        const size_t close = pattern.find('}', i + 3);
        if (close == std::string_view::npos) break;
        std::string_view name = pattern.substr(i + 3, close - i - 3);
        bool negative = next == 'P';
        if (!name.empty() && name[0] == '^') {
          negative = !negative;
          name.remove_prefix(1);
        }
        emit(name, negative, pattern.substr(i, close + 1 - i));
        i = close + 1;
        continue;
      }
      if (next == 'd' || next == 'D')
        emit("Nd", next == 'D', pattern.substr(i, 2));
      else if (next == 'w' || next == 'W')
        emit("Word", next == 'W', pattern.substr(i, 2));
      else
        out += pattern.substr(i, 2);
      i += 2;
      continue;
    }
    if (c == '[') {
      if (pattern.substr(i, 2) == "[:") {  // a POSIX bracket inside a class
        const size_t close = pattern.find(":]", i);
        if (class_depth > 0 && close != std::string_view::npos) {
          out += pattern.substr(i, close + 2 - i);
          i = close + 2;
          continue;
        }
      }
      ++class_depth;
      out += c;
      ++i;
      if (i < pattern.size() && pattern[i] == '^') out += pattern[i++];
      if (i < pattern.size() && pattern[i] == ']') out += pattern[i++];  // a first ] is a member
      continue;
    }
    if (c == ']' && class_depth > 0) --class_depth;
    out += c;
    ++i;
  }
  out += pattern.substr(std::min(i, pattern.size()));
  return out;
}

std::string regex_escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~/ \t\r\n\f\v").find(c) != std::string_view::npos) {
      switch (c) {
        case '\t':
          out += "\\t";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\f':
          out += "\\f";
          break;
        case '\v':
          out += "\\v";
          break;
        default:
          (out += '\\') += c;
      }
    } else {
      out += c;
    }
  }
  return out;
}

struct Regex::Impl {
  regex_t* compiled = nullptr;
  std::string pattern;
  ~Impl() {
    if (compiled) onig_free(compiled);
  }
};

Regex::Regex(const std::string& pattern) {
  initialize_onig();
  if (pattern.size() > kMaxPatternBytes)
    fail(ErrorCode::limit, "a pre-tokenizer pattern has {} bytes, more than the {} allowed", pattern.size(), kMaxPatternBytes);
  if (!is_valid_utf8(pattern)) fail(ErrorCode::vocab, "the pre-tokenizer pattern '{}' is not UTF-8", printable(pattern));
  auto impl = std::make_shared<Impl>();
  impl->pattern = pattern;
  const std::string own = with_own_properties(pattern);
  OnigErrorInfo info;
  const int code = onig_new(&impl->compiled, as_onig(own), as_onig(own) + own.size(), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                            ONIG_SYNTAX_RUBY, &info);
  if (code != ONIG_NORMAL)
    fail(ErrorCode::vocab, "the pre-tokenizer pattern '{}' does not compile: {}", printable(pattern), onig_message(code, &info));
  impl_ = std::move(impl);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

// Oniguruma must see valid UTF-8: an invalid byte is searched as U+FFFD, and offsets are mapped back.
struct Regex::Finder::Impl {
  const Regex::Impl* regex;
  RegexBudget* budget;
  std::string_view text;
  std::string replaced;
  std::vector<size_t> original;  // offset in `replaced` -> offset in the text; empty when they are the same
  OnigRegion* region = nullptr;
  OnigMatchParam* param = nullptr;
  size_t position = 0;
  size_t last_match_end = SIZE_MAX;
  ~Impl() {
    if (region) onig_region_free(region, 1);
    if (param) onig_free_match_param(param);
  }
};

Regex::Finder::Finder(const Regex& regex, RegexBudget& budget) : impl_(std::make_unique<Impl>()) {
  impl_->regex = regex.impl_.get();
  impl_->budget = &budget;
  impl_->region = onig_region_new();
  impl_->param = onig_new_match_param();
  if (!impl_->region || !impl_->param) fail(ErrorCode::no_memory, "out of memory in a pre-tokenizer pattern");
  onig_initialize_match_param(impl_->param);
  onig_set_match_stack_limit_size_of_match_param(impl_->param, kMaxMatchStack);
}

void Regex::Finder::start(std::string_view text) {
  impl_->text = text;
  impl_->position = 0;
  impl_->last_match_end = SIZE_MAX;
  impl_->original.clear();
  impl_->replaced.clear();
  if (!is_valid_utf8(text)) {
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = decode_utf8(text, i);
      const std::string_view piece = c.code >= kInvalidByte ? "\xEF\xBF\xBD" : text.substr(i, c.length);
      for (size_t k = 0; k < piece.size(); ++k) impl_->original.push_back(i);
      impl_->replaced += piece;
      i += c.length;
    }
    impl_->original.push_back(text.size());
    impl_->text = impl_->replaced;
  }
}

Regex::Finder::~Finder() = default;

bool Regex::Finder::next(Match& match) {
  Impl& f = *impl_;
  const UChar* begin = as_onig(f.text);
  const UChar* end = begin + f.text.size();
  while (f.position <= f.text.size()) {
    // A search is charged the limit it was given, since Oniguruma does not say what it used; small limits come first.
    int found = ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER;
    for (uint64_t limit = RegexBudget::kFirstLimit;
         found == ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER || found == ONIGERR_RETRY_LIMIT_IN_MATCH_OVER; limit *= 8) {
      if (!f.budget->take(limit))
        fail(ErrorCode::budget,
             "the pre-tokenizer pattern '{}' takes too many steps on this text; the model file's pattern is "
             "of the kind that backtracks without bound",
             printable(f.regex->pattern));
      onig_set_retry_limit_in_search_of_match_param(f.param, limit);
      onig_set_retry_limit_in_match_of_match_param(f.param, limit);
      onig_region_clear(f.region);
      found = onig_search_with_param(f.regex->compiled, begin, end, begin + f.position, end, f.region, ONIG_OPTION_NONE, f.param);
    }
    if (found == ONIG_MISMATCH) return false;
    if (found < 0)
      fail(ErrorCode::budget, "the pre-tokenizer pattern '{}' failed on a text of {} bytes: {}", printable(f.regex->pattern),
           f.text.size(), onig_message(found));
    const auto from = static_cast<size_t>(f.region->beg[0]), to = static_cast<size_t>(f.region->end[0]);
    if (from == to && f.last_match_end == to) {
      f.position += f.position < f.text.size() ? decode_utf8(f.text, f.position).length : 1;
      continue;
    }
    f.position = to;
    f.last_match_end = to;
    match = f.original.empty() ? Match{from, to} : Match{f.original[from], f.original[to]};
    return true;
  }
  return false;
}

}  // namespace phial
