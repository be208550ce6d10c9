// Python's two ways to format text: the % operator and str.format. Source: Python's documentation, "printf-style String
// Formatting" and "Format String Syntax".
#include <algorithm>
#include <charconv>
#include <cmath>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool alternate = false, zero = false;
  int64_t width = 0;
  char grouping = '\0';
  int64_t precision = -1;
  char type = '\0';
};

/// A float by C's rules for e, f and g (upper case too).
std::string float_text(Render& r, double value, char type, int64_t precision, bool alternate) {
  if (std::isnan(value) || std::isinf(value)) {
    const std::string text = std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
    return type >= 'A' && type <= 'Z' ? upper(text) : text;
  }
  if (precision < 0) precision = 6;
  if (precision > kMaxWidth) r.error("precision too big");
  r.work(static_cast<size_t>(precision));
  const std::string pattern = std::string("{:") + (alternate ? "#" : "") + ".{}" + type + "}";
  return fmt::format(fmt::runtime(pattern), value, static_cast<int>(precision));
}

std::string pad(Render& r, std::string text, const Spec& s, char default_align, size_t prefix) {
  const int64_t n = count_chars(text);
  if (s.width <= n) return text;
  if (s.width > kMaxWidth) r.heap().check(static_cast<size_t>(s.width));
  r.work(static_cast<size_t>(s.width));
  const int64_t missing = s.width - n;
  const char align = s.align ? s.align : default_align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string before, after;
  for (int64_t i = 0; i < left; ++i) before += s.fill;
  for (int64_t i = left; i < missing; ++i) after += s.fill;
  if (align == '=') return text.substr(0, prefix) + before + text.substr(prefix);
  return before + text + after;
}

std::string grouped(const std::string& digits, char separator, size_t size) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out;
}

Spec parse_spec(Render& r, std::string_view text) {
  Spec s;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  size_t behind_first = 0;
  if (!text.empty()) next_char(text, behind_first);
  if (behind_first > 0 && behind_first < text.size() && is_align(text[behind_first])) {
    s.fill = std::string(text.substr(0, behind_first));
    s.align = text[behind_first];
    at = behind_first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    s.align = text[0];
    at = 1;
  }
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  if (peek() == '+' || peek() == '-' || peek() == ' ') s.sign = text[at++];
  if (peek() == 'z') ++at;
  if (peek() == '#') {
    s.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    s.zero = true;
    if (!s.align) {
      s.align = '=';
      s.fill = "0";
    }
    ++at;
  }
  const auto number = [&] {
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (text[at++] - '0');
      if (value > INT32_MAX) r.error("too many decimal digits in format string");
    }
    return value;
  };
  s.width = number();
  if (peek() == ',' || peek() == '_') s.grouping = text[at++];
  if (peek() == '.') {
    ++at;
    if (!(peek() >= '0' && peek() <= '9')) r.error("format specifier missing precision");
    s.precision = number();
  }
  if (at < text.size()) s.type = text[at++];
  if (at < text.size()) r.error("invalid format specifier '{}'", printable(text));
  return s;
}

std::string format_integer(Render& r, int64_t value, const Spec& s) {
  if (s.precision >= 0) r.error("precision not allowed in integer format specifier");
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits, prefix;
  size_t group = 3;
  switch (s.type) {
    case 'b':
      digits = fmt::format("{:b}", size), prefix = "0b", group = 4;
      break;
    case 'o':
      digits = fmt::format("{:o}", size), prefix = "0o", group = 4;
      break;
    case 'x':
      digits = fmt::format("{:x}", size), prefix = "0x", group = 4;
      break;
    case 'X':
      digits = fmt::format("{:X}", size), prefix = "0X", group = 4;
      break;
    case 'c': {
      if (value < 0 || value > 0x10FFFF) r.error("%c arg not in range(0x110000)");
      std::string text;
      append_char(text, static_cast<char32_t>(value));
      return pad(r, text, s, '<', 0);
    }
    default:
      digits = fmt::format("{}", size);
  }
  if (!s.alternate) prefix.clear();
  const std::string sign = value < 0 ? "-" : s.sign == '-' ? "" : std::string(1, s.sign);
  if (s.grouping) {
    if (s.align == '=' && s.fill == "0") {  // zeros are grouped too
      const int64_t room = s.width - static_cast<int64_t>(sign.size() + prefix.size());
      while (static_cast<int64_t>(digits.size() + (digits.size() - 1) / group) < room &&
             static_cast<int64_t>(digits.size()) < kMaxWidth)
        digits.insert(0, "0");
      std::string out = grouped(digits, s.grouping, group);
      return sign + prefix + out;
    }
    digits = grouped(digits, s.grouping, group);
  }
  return pad(r, sign + prefix + digits, s, '>', sign.size() + prefix.size());
}

std::string format_float(Render& r, double value, const Spec& s) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double size = std::fabs(value);
  std::string text;
  switch (s.type) {
    case '\0':
      if (s.precision < 0) {
        text = float_repr(size);
      } else {
        text = float_text(r, size, 'g', std::max<int64_t>(s.precision, 1), s.alternate);
        if (text.find_first_of(".en") == std::string::npos) {
          // At least one digit behind the point, unless that is one digit too many.
          text = static_cast<int64_t>(text.size()) < std::max<int64_t>(s.precision, 1)
                     ? text + ".0"
                     : float_text(r, size, 'e', std::max<int64_t>(s.precision, 1) - 1, false);
        }
      }
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      text = float_text(r, size, s.type, s.precision == 0 && (s.type | 32) == 'g' ? 1 : s.precision, s.alternate);
      break;
    case 'n':
      text = float_text(r, size, 'g', s.precision, s.alternate);
      break;
    case '%':
      text = float_text(r, size * 100, 'f', s.precision, s.alternate) + "%";
      break;
    default:
      r.error("unknown format code '{}' for object of type 'float'", printable({&s.type, 1}));
  }
  if (s.grouping) {
    size_t whole = 0;
    while (whole < text.size() && text[whole] >= '0' && text[whole] <= '9') ++whole;
    text = grouped(text.substr(0, whole), s.grouping, 3) + text.substr(whole);
  }
  const std::string sign = negative ? "-" : s.sign == '-' ? "" : std::string(1, s.sign);
  return pad(r, sign + text, s, '>', sign.size());
}

std::string ascii_repr(Render& r, const Value& v) {
  std::string out;
  const std::string text = r.repr(v);
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<uint32_t>(next_char(text, at));
    out += c < 0x80      ? std::string(1, static_cast<char>(c))
           : c < 0x100   ? fmt::format("\\x{:02x}", c)
           : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                         : fmt::format("\\U{:08x}", c);
  }
  return out;
}

}  // namespace

std::string format_value(Render& r, const Value& v, std::string_view spec) {
  if (spec.empty()) return r.text(v);
  const Spec s = parse_spec(r, spec);
  if (v.is_string()) {
    if (s.type && s.type != 's') r.error("unknown format code '{}' for object of type 'str'", printable({&s.type, 1}));
    if (s.align == '=' && !s.zero) r.error("'=' alignment not allowed in string format specifier");
    if (s.sign != '-' || s.grouping || s.alternate)
      r.error("sign, grouping and '#' are not allowed in a string format specifier");
    std::string text = v.text();
    if (s.precision >= 0) text = text.substr(0, byte_offset(text, s.precision));
    Spec padded = s;
    if (padded.align == '=') padded.align = '<';
    return pad(r, std::move(text), padded, '<', 0);
  }
  if (v.is_integral()) {
    switch (s.type) {
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
      case '%':
        return format_float(r, static_cast<double>(v.integer()), s);
      case '\0':
      case 'b':
      case 'c':
      case 'd':
      case 'o':
      case 'x':
      case 'X':
      case 'n':
        return format_integer(r, v.integer(), s);
      default:
        r.error("unknown format code '{}' for object of type 'int'", printable({&s.type, 1}));
    }
  }
  if (v.is(Kind::floating)) return format_float(r, v.floating(), s);
  r.error("unsupported format string passed to {}.__format__", type_name(v));
}

// ---- str.format

namespace {

class BraceFormatter {
 public:
  BraceFormatter(Render& render, const Args& args, bool escape) : r_(render), args_(args), escape_(escape) {}

  std::string run(std::string_view text, int depth) {
    if (depth > 2) r_.error("max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const char c = text[at];
      if (c != '{' && c != '}') {
        const size_t end = std::min(text.find_first_of("{}", at), text.size());
        out += text.substr(at, end - at);
        at = end;
        continue;
      }
      if (at + 1 < text.size() && text[at + 1] == c) {
        out += c;
        at += 2;
        continue;
      }
      if (c == '}') r_.error("single '}}' encountered in format string");
      size_t end = at + 1;
      for (int open = 1; end < text.size(); ++end) {
        if (text[end] == '{') ++open;
        if (text[end] == '}' && --open == 0) break;
      }
      if (end >= text.size()) r_.error("a '{{' in the format string is not closed");
      out += field(text.substr(at + 1, end - at - 1), depth);
      r_.heap().check(out.size());
      at = end + 1;
    }
    r_.work(out.size());
    return out;
  }

 private:
  std::string field(std::string_view text, int depth) {
    size_t name_end = 0;
    for (bool in_brackets = false; name_end < text.size(); ++name_end) {
      const char c = text[name_end];
      if (c == '[') in_brackets = true;
      if (c == ']') in_brackets = false;
      if (!in_brackets && (c == '!' || c == ':')) break;
    }
    Value v = lookup(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':')) r_.error("expected ':' after conversion specifier");
      switch (rest[1]) {
        case 's':
          v = r_.string(r_.text(v));
          break;
        case 'r':
          v = r_.string(r_.repr(v));
          break;
        case 'a':
          v = r_.string(ascii_repr(r_, v));
          break;
        default:
          r_.error("unknown conversion specifier '{}'", printable(rest.substr(1, 1)));
      }
      rest.remove_prefix(2);
    }
    std::string spec;
    if (!rest.empty()) spec = run(rest.substr(1), depth + 1);
    std::string formatted = format_value(r_, v, spec);
    return escape_ && !r_.is_markup(v) ? escape_html(formatted) : formatted;
  }

  Value lookup(std::string_view name) {
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    Value v = first(name.substr(0, first_end));
    size_t at = first_end;
    while (at < name.size()) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) r_.error("empty attribute in format string");
        v = r_.attribute(v, name.substr(at + 1, end - at - 1));
        at = end;
      } else if (name[at] == '[') {
        const size_t end = name.find(']', at);
        if (end == std::string_view::npos) r_.error("missing ']' in format string");
        const std::string_view index = name.substr(at + 1, end - at - 1);
        if (index.empty()) r_.error("empty attribute in format string");
        int64_t number = 0;
        const bool is_number =
            std::from_chars(index.data(), index.data() + index.size(), number).ptr == index.data() + index.size() &&
            index[0] != '-';
        v = r_.item(v, is_number ? Value(number) : r_.string(std::string(index)));
        at = end + 1;
      } else {
        r_.error("only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return v;
  }

  Value first(std::string_view name) {
    size_t index = 0;
    if (name.empty()) {
      if (numbering_ == Numbering::manual) r_.error("cannot switch from manual field specification to automatic field numbering");
      numbering_ = Numbering::automatic;
      index = next_++;
    } else if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      if (numbering_ == Numbering::automatic)
        r_.error("cannot switch from automatic field numbering to manual field specification");
      numbering_ = Numbering::manual;
      std::from_chars(name.data(), name.data() + name.size(), index);
    } else {
      for (const auto& [known, value] : args_.named) {
        if (known == name) return value;
      }
      r_.error("KeyError: '{}'", printable(name));
    }
    if (index >= args_.positional.size()) r_.error("replacement index {} out of range for positional args tuple", index);
    return args_.positional[index];
  }

  enum class Numbering { unknown, automatic, manual };
  Render& r_;
  const Args& args_;
  bool escape_;
  Numbering numbering_ = Numbering::unknown;
  size_t next_ = 0;
};

}  // namespace

std::string brace_format(Render& r, const Value& format, Args& args) {
  return BraceFormatter(r, args, format.string().markup).run(format.text(), 1);
}

// ---- %

std::string percent_format(Render& r, const Value& format, const Value& values) {
  const std::string_view text = format.text();
  const bool markup = format.string().markup;
  std::vector<Value> single;
  if (!values.is(Kind::tuple)) single.push_back(values);
  const std::vector<Value>& args = values.is(Kind::tuple) ? values.sequence().items : single;
  const bool is_mapping = values.is(Kind::dict) || values.is(Kind::list) || values.is(Kind::range) || values.is_undefined();
  size_t used = 0;
  const auto take = [&]() -> const Value& {
    if (used >= args.size()) r.error("not enough arguments for format string");
    return args[used++];
  };
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    out += text.substr(at, percent - at);
    at = percent;
    if (at >= text.size()) break;
    ++at;
    const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
    Value value;
    if (peek() == '(') {
      if (!values.is(Kind::dict)) r.error("format requires a mapping");
      const size_t begin = ++at;
      for (int open = 1; at < text.size(); ++at) {
        if (text[at] == '(') ++open;
        if (text[at] == ')' && --open == 0) break;
      }
      if (at >= text.size()) r.error("incomplete format key");
      const std::string key(text.substr(begin, at - begin));
      ++at;
      const Value* found = r.dict_find(values.dict(), key);
      if (!found) r.error("KeyError: '{}'", printable(key));
      value = *found;
      used = args.size();
    }
    Spec s;
    s.align = '>';
    bool left = false;
    for (;; ++at) {
      if (peek() == '-') {
        left = true;
      } else if (peek() == '+') {
        s.sign = '+';
      } else if (peek() == ' ') {
        if (s.sign == '-') s.sign = ' ';
      } else if (peek() == '#') {
        s.alternate = true;
      } else if (peek() == '0') {
        s.zero = true;
      } else {
        break;
      }
    }
    const auto number = [&](int64_t& to) {
      if (peek() == '*') {
        ++at;
        const Value& n = take();
        if (!n.is_integral()) r.error("* wants int");
        to = n.integer();
        return;
      }
      to = 0;
      while (peek() >= '0' && peek() <= '9') {
        to = to * 10 + (text[at++] - '0');
        if (to > INT32_MAX) r.error("width too big");
      }
    };
    number(s.width);
    if (s.width < 0) {
      left = true;
      s.width = -s.width;
    }
    if (peek() == '.') {
      ++at;
      number(s.precision);
      s.precision = std::max<int64_t>(s.precision, 0);
    }
    if (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at;
    const char type = peek();
    if (type == '\0') r.error("incomplete format");
    ++at;
    if (type == '%') {
      out += '%';
      continue;
    }
    if (left) s.align = '<';
    if (value.is_missing()) value = take();
    const bool zeros = s.zero && !left;
    std::string piece;
    switch (type) {
      case 's':
      case 'r':
      case 'a':
        piece = type == 's' ? (markup ? r.escaped(value) : r.text(value)) : type == 'r' ? r.repr(value) : ascii_repr(r, value);
        if (markup && type != 's') piece = escape_html(piece);
        if (s.precision >= 0) piece = piece.substr(0, byte_offset(piece, s.precision));
        piece = pad(r, std::move(piece), s, '>', 0);
        break;
      case 'c':
        if (value.is_integral()) {
          if (value.integer() < 0 || value.integer() > 0x10FFFF) r.error("%c arg not in range(0x110000)");
          append_char(piece, static_cast<char32_t>(value.integer()));
        } else if (value.is_string() && r.n_chars(value) == 1) {
          piece = value.text();
        } else {
          r.error("%c requires int or char");
        }
        piece = pad(r, std::move(piece), s, '>', 0);
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X': {
        const bool decimal = type == 'd' || type == 'i' || type == 'u';
        int64_t i = 0;
        if (value.is_integral()) {
          i = value.integer();
        } else if (decimal && value.is(Kind::floating)) {
          if (!(std::fabs(value.floating()) < 9.2e18))
            r.error("cannot convert float {} to a 64-bit integer", float_repr(value.floating()));
          i = static_cast<int64_t>(value.floating());
        } else {
          if (value.is_undefined()) r.undefined_error(value);
          r.error("%{} format: {} is required, not {}", type, decimal ? "a real number" : "an integer", type_name(value));
        }
        Spec plain;
        plain.sign = s.sign;
        plain.alternate = s.alternate;
        plain.type = decimal ? 'd' : type;
        piece = format_integer(r, i, plain);
        size_t head = !piece.empty() && (piece[0] == '-' || piece[0] == '+' || piece[0] == ' ') ? 1 : 0;
        if (s.alternate && !decimal) head += 2;
        const int64_t digits = static_cast<int64_t>(piece.size() - head);
        if (s.precision > digits) {
          if (s.precision > kMaxWidth) r.error("precision too big");
          piece.insert(head, static_cast<size_t>(s.precision - digits), '0');
        }
        if (zeros) {
          s.align = '=';
          s.fill = "0";
        }
        piece = pad(r, std::move(piece), s, '>', head);
        break;
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (!value.is_number()) {
          if (value.is_undefined()) r.undefined_error(value);
          r.error("must be real number, not {}", type_name(value));
        }
        const double d = value.as_double();
        piece = float_text(r, std::fabs(d), type, s.precision == 0 && (type | 32) == 'g' ? 1 : s.precision, s.alternate);
        const std::string sign = std::signbit(d) && !std::isnan(d) ? "-" : s.sign == '-' ? "" : std::string(1, s.sign);
        if (zeros) {
          s.align = '=';
          s.fill = "0";
        }
        piece = pad(r, sign + piece, s, '>', sign.size());
        break;
      }
      default:
        r.error("unsupported format character '{}'", printable({&type, 1}));
    }
    r.heap().check(out.size() + piece.size());
    r.work(piece.size());
    out += piece;
  }
  if (used < args.size() && !is_mapping) r.error("not all arguments converted during string formatting");
  return out;
}

}  // namespace phial::tmpl
