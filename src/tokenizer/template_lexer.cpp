// See template_lexer.h.
#include "tokenizer/template_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/fail.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                           "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

/// Every line end becomes \n, and one line end at the end of the text is dropped.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    emit(TokenType::end);
    return std::move(tokens_);
  }

 private:
  template <typename... A>
  [[noreturn]] void error(fmt::format_string<A...> text, A&&... args) {
    advance_line();
    fail(ErrorCode::template_, "template line {}: {}", line_, fmt::format(text, std::forward<A>(args)...));
  }

  void advance_line() {
    const size_t to = std::min(at_, source_.size());
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<ptrdiff_t>(counted_), source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    counted_ = std::max(counted_, to);
  }

  Token& emit(TokenType type, std::string text = {}) {
    advance_line();
    Token token;
    token.type = type;
    token.text = std::move(text);
    token.line = line_;
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }

  bool looking_at(std::string_view text) const { return source_.substr(at_, text.size()) == text; }
  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!is_space(next_char(source_, next))) break;
      at = next;
    }
    return at;
  }

  /// "{%", an optional sign, spaces, `word`: the place behind it, or 0.
  size_t match_tag(size_t at, std::string_view word) const {
    if (source_.substr(at, 2) != "{%") return 0;
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    at = skip_space(at);
    if (source_.substr(at, word.size()) != word) return 0;
    return skip_space(at + word.size());
  }

  void data(std::string_view text, char sign, bool may_strip_line) {
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && may_strip_line) {
      const size_t line_start = text.rfind('\n') + 1;
      if ((line_start > 0 || line_starting_) && strip(text.substr(line_start)).empty()) text = text.substr(0, line_start);
    }
    if (!text.empty()) emit(TokenType::data, std::string(text));
  }

  /// What follows a tag's end: a dash eats white space, nothing eats one line end, a plus keeps it.
  void after_tag(char sign, bool trims_line) {
    const size_t before = at_;
    if (sign == '-') {
      at_ = skip_space(at_);
    } else if (sign != '+' && trims_line && looking_at("\n")) {
      ++at_;
    }
    line_starting_ = at_ > before && source_[at_ - 1] == '\n';
  }

  void root() {
    size_t tag = at_;
    while ((tag = source_.find('{', tag)) != std::string_view::npos) {
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') break;
      ++tag;
    }
    if (tag == std::string_view::npos) {
      emit(TokenType::data, std::string(source_.substr(at_)));
      at_ = source_.size();
      return;
    }
    const char kind = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    data(source_.substr(at_, tag - at_), sign, kind != '{');
    at_ = tag;
    if (kind == '%') {
      if (const size_t behind = match_tag(tag, "raw");
          behind && (source_.substr(behind, 3) == "-%}" || source_.substr(behind, 2) == "%}")) {
        const bool dash = source_[behind] == '-';
        at_ = behind + (dash ? 3 : 2);
        after_tag(dash ? '-' : '\0', false);
        raw();
        return;
      }
    }
    at_ = tag + 2 + (sign ? 1 : 0);
    if (kind == '#') {
      comment();
    } else {
      code(kind == '%');
    }
  }

  void comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) error("missing end of comment tag");
    const char sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_tag(sign, true);
  }

  void raw() {
    for (size_t tag = at_; (tag = source_.find("{%", tag)) != std::string_view::npos; ++tag) {
      const size_t behind = match_tag(tag, "endraw");
      if (!behind) continue;
      const char end_sign =
          behind < source_.size() && (source_[behind] == '-' || source_[behind] == '+') ? source_[behind] : '\0';
      const size_t close = behind + (end_sign ? 1 : 0);
      if (source_.substr(close, 2) != "%}") continue;
      const char sign = source_[tag + 2] == '-' || source_[tag + 2] == '+' ? source_[tag + 2] : '\0';
      data(source_.substr(at_, tag - at_), sign, true);
      at_ = close + 2;
      after_tag(end_sign, true);
      return;
    }
    error("missing end of raw directive");
  }

  void code(bool is_block) {
    emit(is_block ? TokenType::block_begin : TokenType::print_begin);
    brackets_.clear();
    while (at_ < source_.size()) {
      if (brackets_.empty() && end_of_code(is_block)) return;
      token();
    }
  }

  bool end_of_code(bool is_block) {
    const std::string_view close = is_block ? "%}" : "}}";
    char sign = source_[at_];
    if (sign != '-' && !(sign == '+' && is_block)) sign = '\0';
    if (source_.substr(at_ + (sign ? 1 : 0), 2) != close) return false;
    emit(is_block ? TokenType::block_end : TokenType::print_end);
    at_ += sign ? 3 : 2;
    after_tag(sign, is_block);
    return true;
  }

  void token() {
    const size_t behind = skip_space(at_);
    if (behind > at_) {
      at_ = behind;
      return;
    }
    const char c = source_[at_];
    if (c >= '0' && c <= '9') {
      number();
      return;
    }
    if (c == '\'' || c == '"') {
      if (string(c)) return;
    }
    size_t end = at_;
    if (is_identifier_start(next_char(source_, end))) {
      for (size_t next = end; next < source_.size(); end = next) {
        if (!is_identifier_part(next_char(source_, next))) break;
      }
      emit(TokenType::name, std::string(source_.substr(at_, end - at_)));
      at_ = end;
      return;
    }
    for (const std::string_view op : kOperators) {
      if (!looking_at(op)) continue;
      balance(op);
      emit(TokenType::op, std::string(op));
      at_ += op.size();
      return;
    }
    size_t next = at_;
    next_char(source_, next);
    error("unexpected character '{}'", printable(source_.substr(at_, next - at_)));
  }

  void balance(std::string_view op) {
    if (op == "{") brackets_ += '}';
    if (op == "(") brackets_ += ')';
    if (op == "[") brackets_ += ']';
    if (op != "}" && op != ")" && op != "]") return;
    if (brackets_.empty()) error("unexpected '{}'", op);
    if (brackets_.back() != op[0]) error("unexpected '{}', expected '{}'", op, brackets_.back());
    brackets_.pop_back();
  }

  /// Digits with single underscores between them; the place behind, or `at` when there are none.
  size_t digits(size_t at, int base) const {
    const auto is = [&](size_t i) {
      if (i >= source_.size()) return false;
      const char c = source_[i];
      const int v = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
      return v < base;
    };
    if (!is(at)) return at;
    ++at;
    while (is(at) || (at < source_.size() && source_[at] == '_' && is(at + 1))) ++at;
    return at;
  }

  std::string without_underscores(size_t begin, size_t end) const {
    std::string out;
    for (size_t i = begin; i < end; ++i) {
      if (source_[i] != '_') out += source_[i];
    }
    return out;
  }

  void number() {
    const size_t whole = digits(at_, 10);
    size_t end = whole;
    bool is_float = false;
    if (at_ == 0 || source_[at_ - 1] != '.') {
      if (end < source_.size() && source_[end] == '.' && digits(end + 1, 10) > end + 1) {
        end = digits(end + 1, 10);
        is_float = true;
      }
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
        if (digits(exponent, 10) > exponent) {
          end = digits(exponent, 10);
          is_float = true;
        }
      }
    }
    if (is_float) {
      const std::string text = without_underscores(at_, end);
      double value = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
      if (result.ec == std::errc::result_out_of_range) {
        // Beyond the range: inf or 0, as in Python.
        const size_t e = text.find_first_of("eE");
        value = e != std::string::npos && text[e + 1] == '-' ? 0.0 : HUGE_VAL;
      }
      emit(TokenType::floating).floating = value;
      at_ = end;
      return;
    }
    int base = 10;
    size_t begin = at_;
    end = whole;
    if (source_[at_] == '0') {
      const char kind = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 32) : '\0';
      const int other = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
      size_t from = at_ + 2;
      if (other && from < source_.size() && source_[from] == '_') ++from;
      if (other && digits(from, other) > from) {
        base = other;
        begin = from;
        end = digits(from, other);
      } else {  // zeros only: "007" is 00 and then 7
        end = at_ + 1;
        while (end < source_.size() &&
               (source_[end] == '0' || (source_[end] == '_' && end + 1 < source_.size() && source_[end + 1] == '0')))
          ++end;
      }
    }
    const std::string text = without_underscores(begin, end);
    int64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value, base).ec != std::errc()) {
      error("the integer {} does not fit 64 bits", printable(text));
    }
    emit(TokenType::integer).integer = value;
    at_ = end;
  }

  bool string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return false;
    std::string text = unescape(source_.substr(at_ + 1, end - at_ - 1));
    emit(TokenType::string, std::move(text));
    at_ = end + 1;
    return true;
  }

  char32_t hex(std::string_view text, size_t& i, size_t n) {
    char32_t c = 0;
    if (i + n > text.size()) error("truncated \\x, \\u or \\U escape in a string");
    const auto result = std::from_chars(text.data() + i, text.data() + i + n, reinterpret_cast<uint32_t&>(c), 16);
    if (result.ec != std::errc() || result.ptr != text.data() + i + n) error("truncated \\x, \\u or \\U escape in a string");
    i += n;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) error("the escape in a string is not a Unicode character");
    return c;
  }

  /// Python's string escapes; an unknown one stays as it is.
  std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\' || i + 1 >= text.size()) {
        out += text[i++];
        continue;
      }
      const char c = text[i + 1];
      i += 2;
      switch (c) {
        case '\n':
          break;
        case '\\':
        case '\'':
        case '"':
          out += c;
          break;
        case 'a':
          out += '\a';
          break;
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'n':
          out += '\n';
          break;
        case 'r':
          out += '\r';
          break;
        case 't':
          out += '\t';
          break;
        case 'v':
          out += '\v';
          break;
        case 'x':
          append_char(out, hex(text, i, 2));
          break;
        case 'u':
          append_char(out, hex(text, i, 4));
          break;
        case 'U':
          append_char(out, hex(text, i, 8));
          break;
        case 'N':
          error("\\N{{...}} escapes are not supported; write the character itself");
        case '0':
        case '1':
        case '2':
        case '3':
        case '4':
        case '5':
        case '6':
        case '7': {
          char32_t value = static_cast<char32_t>(c - '0');
          for (int n = 0; n < 2 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n)
            value = value * 8 + static_cast<char32_t>(text[i++] - '0');
          append_char(out, value);
          break;
        }
        default: {
          // A backslash before a character beyond ASCII gives that character's own escape, spelled out.
          out += '\\';
          if (static_cast<unsigned char>(c) < 0x80) {
            out += c;
            break;
          }
          size_t at = i - 1;
          const auto code = static_cast<uint32_t>(next_char(text, at));
          out += code < 0x100     ? fmt::format("x{:02x}", code)
                 : code < 0x10000 ? fmt::format("u{:04x}", code)
                                  : fmt::format("U{:08x}", code);
          i = at;
        }
      }
    }
    return out;
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  std::string brackets_;
  size_t at_ = 0, counted_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> tokenize(const std::string& source) {
  if (!is_valid_utf8(source)) fail(ErrorCode::template_, "the chat template is not valid UTF-8");
  const std::string text = normalize(source);
  return Lexer(text).run();
}

}  // namespace phial::tmpl
