// Jinja's filters on numbers, with Python's rules for reading and rounding them.
#include <charconv>
#include <cmath>
#include <limits>

#include "tokenizer/template_filters.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {

namespace {

/// float(text): nothing when Python would raise ValueError.
std::optional<double> parse_float(std::string_view text) {
  text = strip(text);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    const auto is_digit_at = [&](size_t k) { return k < text.size() && text[k] >= '0' && text[k] <= '9'; };
    if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) return std::nullopt;
  }
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
  const std::string word = lower(digits);
  const double sign = negative ? -1 : 1;
  if (word == "inf" || word == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (digits.empty() || !((digits[0] >= '0' && digits[0] <= '9') || digits[0] == '.')) return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const size_t e = word.find('e');
    value = e != std::string::npos && word[e + 1] == '-' ? 0.0 : std::numeric_limits<double>::infinity();
  } else if (result.ec != std::errc()) {
    return std::nullopt;
  }
  return sign * value;
}

/// int(text, base): nothing when Python would raise ValueError.
std::optional<int64_t> parse_int(Render& r, std::string_view text, int64_t base) {
  text = strip(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const char second = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 32) : '\0';
  const int64_t prefixed = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 0;
  bool zeros_only = false;
  if (prefixed && (base == 0 || base == prefixed)) {
    base = prefixed;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    zeros_only = !text.empty() && text[0] == '0';
  }
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i + 1] == '_') {
      return std::nullopt;
    }
  }
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  if (zeros_only && digits.find_first_not_of('0') != std::string::npos) return std::nullopt;
  if (negative) digits.insert(0, "-");
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) r.error("the integer {} does not fit 64 bits", printable(digits));
  return value;
}

Value truncated(Render& r, double d) {
  if (!(std::fabs(d) < 0x1p63)) r.error("cannot convert float {} to a 64-bit integer", float_repr(d));
  return Value(static_cast<int64_t>(d));
}

/// round(value, digits) of Python: correctly rounded from the exact binary value, ties to even.
double round_float(double value, int64_t digits) {
  if (!std::isfinite(value) || value == 0 || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, static_cast<int>(digits));
    double out = value;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
  }
  // Left of the point: the exact integer digits of the value decide.
  const std::string text = fmt::format("{:.0f}", std::trunc(std::fabs(value)));
  const auto n = static_cast<int64_t>(text.size());
  const int64_t keep = n + digits;
  if (keep < 0) return std::copysign(0.0, value);
  std::string head = keep == 0 ? "0" : text.substr(0, static_cast<size_t>(keep));
  const std::string tail = text.substr(static_cast<size_t>(keep));
  const bool has_fraction = std::trunc(value) != value;
  const bool is_half = tail[0] == '5' && tail.find_first_not_of('0', 1) == std::string::npos && !has_fraction;
  if (is_half ? (head.back() - '0') % 2 == 1 : tail[0] >= '5') {
    size_t i = head.size();
    while (i > 0 && head[i - 1] == '9') head[--i] = '0';
    if (i == 0) {
      head.insert(0, "1");
    } else {
      ++head[i - 1];
    }
  }
  head.append(tail.size(), '0');
  double out = 0;
  std::from_chars(head.data(), head.data() + head.size(), out);
  return std::copysign(out, value);
}

}  // namespace

Value abs_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "abs", {}, nullptr);
  if (v.is(Kind::floating)) return Value(std::fabs(v.floating()));
  if (!v.is_integral()) r.type_error("is a bad operand type for abs()", v);
  return v.integer() < 0 ? r.negate(v, true) : Value(v.integer());
}

Value int_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, "int", {"default", "base"}, a);
  const Value otherwise = a[0].is_missing() ? Value(int64_t{0}) : a[0];
  if (v.is_undefined()) r.undefined_error(v);
  if (v.is_integral()) return Value(v.integer());
  if (v.is(Kind::floating)) return std::isnan(v.floating()) ? otherwise : truncated(r, v.floating());
  if (!v.is_string()) return otherwise;
  const int64_t base = integer_argument(r, a[1], 10);
  if (base == 0 || (base >= 2 && base <= 36)) {
    if (const auto i = parse_int(r, v.text(), base)) return Value(*i);
  }
  const auto d = parse_float(v.text());
  if (!d || !std::isfinite(*d)) return otherwise;
  return truncated(r, *d);
}

Value float_filter(Render& r, const Value& v, Args& args) {
  Value otherwise;
  bind_args(r, args, "float", {"default"}, &otherwise);
  if (v.is_undefined()) r.undefined_error(v);
  if (v.is_number()) return Value(v.as_double());
  if (v.is_string()) {
    if (const auto d = parse_float(v.text())) return Value(*d);
  }
  return otherwise.is_missing() ? Value(0.0) : otherwise;
}

Value round_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, "round", {"precision", "method"}, a);
  const std::string method = a[1].is_missing() ? "common" : r.text(a[1]);
  if (method != "common" && method != "ceil" && method != "floor") r.error("method must be common, ceil or floor");
  if (v.is_undefined()) r.undefined_error(v);
  if (!v.is_number()) r.error("type {} doesn't define __round__ method", type_name(v));
  if (method == "common") {
    if (a[0].is_none()) {
      if (v.is_integral()) return Value(v.integer());
      return truncated(r, round_float(v.floating(), 0));
    }
    const int64_t digits = integer_argument(r, a[0], 0);
    if (v.is(Kind::floating)) return Value(round_float(v.floating(), digits));
    if (digits >= 0) return Value(v.integer());
    if (digits < -18) return Value(int64_t{0});
    int64_t unit = 1;
    for (int64_t i = 0; i > digits; --i) unit *= 10;
    const int64_t rest = ((v.integer() % unit) + unit) % unit, down = v.integer() - rest;
    const bool up = rest > unit - rest || (rest == unit - rest && (down / unit) % 2 != 0);
    return Value(up ? checked_add(r, down, unit) : down);
  }
  const Value precision = a[0].is_missing() ? Value(int64_t{0}) : a[0];
  const Value scale = r.binary(ExprKind::power, Value(int64_t{10}), precision);
  const Value scaled = r.binary(ExprKind::multiply, v, scale);
  if (scaled.is(Kind::floating) && !std::isfinite(scaled.floating()))
    r.error("cannot convert float {} to integer", float_repr(scaled.floating()));
  const Value whole = scaled.is_integral()
                          ? scaled
                          : truncated(r, method == "ceil" ? std::ceil(scaled.floating()) : std::floor(scaled.floating()));
  return r.binary(ExprKind::divide, whole, scale);
}

Value filesizeformat_filter(Render& r, const Value& v, Args& args) {
  Value binary;
  bind_args(r, args, "filesizeformat", {"binary"}, &binary);
  double bytes = 0;
  if (v.is_undefined()) r.undefined_error(v);
  if (v.is_number()) {
    bytes = v.as_double();
  } else {
    const auto d = v.is_string() ? parse_float(v.text()) : std::nullopt;
    if (!d) r.error("could not convert {} to float", type_name(v));
    bytes = *d;
  }
  const bool by_two = !binary.is_missing() && r.truth(binary);
  const double base = by_two ? 1024 : 1000;
  if (bytes == 1) return r.string("1 Byte");
  if (bytes < base) return r.string(fmt::format("{} Bytes", truncated(r, bytes).integer()));
  constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  double unit = base * base;
  size_t i = 0;
  for (; i < 7 && !(bytes < unit); ++i) unit *= base;
  if (std::isnan(bytes)) return r.string(fmt::format("nan {}", by_two ? kBinary[7] : kDecimal[7]));
  return r.string(fmt::format("{:.1f} {}", base * bytes / unit, by_two ? kBinary[i] : kDecimal[i]));
}

}  // namespace phial::tmpl
