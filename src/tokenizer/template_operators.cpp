// Python's operators, comparisons, subscripts and iteration on template values.
#include <algorithm>
#include <cmath>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {

std::string_view type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::floating:
      return "float";
    case Kind::string:
      return v.string().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::view:
      switch (v.as<ViewObject>().part) {
        case ViewObject::Part::keys:
          return "dict_keys";
        case ViewObject::Part::values:
          return "dict_values";
        default:
          return "dict_items";
      }
    case Kind::iterator:
      return v.as<IteratorObject>().type_name;
    case Kind::name_space:
      return "Namespace";
    case Kind::macro:
      return "Macro";
    case Kind::function:
      return "builtin_function_or_method";
    case Kind::loop:
      return "LoopContext";
    case Kind::cycler:
      return "Cycler";
    case Kind::joiner:
      return "Joiner";
    case Kind::block:
      return "BlockReference";
  }
  return "object";
}

int64_t checked_add(Render& render, int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) render.error("integer overflow: {} + {} does not fit 64 bits", a, b);
  return r;
}

int64_t checked_multiply(Render& render, int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) render.error("integer overflow: {} * {} does not fit 64 bits", a, b);
  return r;
}

namespace {

/// -1, 0, 1 of an integer against a float, exactly; 2 when the float is NaN.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  const double x = a.as_double(), y = b.as_double();
  if (std::isnan(x) || std::isnan(y)) return 2;
  if (x < y) return -1;
  if (x > y) return 1;
  if (a.is_integral() == b.is_integral()) return 0;
  // Equal as doubles: the integer may have been rounded.
  const Value& whole = a.is_integral() ? a : b;
  const double other = a.is_integral() ? y : x;
  if (std::fabs(other) >= 0x1p63) return a.is_integral() ? (other > 0 ? -1 : 1) : (other > 0 ? 1 : -1);
  const auto rounded = static_cast<int64_t>(other);
  const int order = whole.integer() < rounded ? -1 : whole.integer() > rounded;
  return a.is_integral() ? order : -order;
}

double python_modulo(double a, double b) {
  double m = std::fmod(a, b);
  if (m != 0) {
    if ((b < 0) != (m < 0)) m += b;
  } else {
    m = std::copysign(0.0, b);
  }
  return m;
}

double python_floor_divide(double a, double b) {
  const double m = python_modulo(a, b);
  const double d = (a - m) / b;
  if (d == 0) return std::copysign(0.0, a / b);
  double f = std::floor(d);
  if (d - f > 0.5) f += 1.0;
  return f;
}

}  // namespace

bool Render::truth(const Value& v) {
  switch (v.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return v.integer() != 0;
    case Kind::floating:
      return v.floating() != 0;
    case Kind::string:
      return !v.text().empty();
    case Kind::list:
    case Kind::tuple:
      return !v.sequence().items.empty();
    case Kind::dict:
      return !v.dict().entries.empty();
    case Kind::range:
      return v.as<RangeObject>().length > 0;
    case Kind::view:
      return !v.as<ViewObject>().dict.dict().entries.empty();
    case Kind::loop:
      return v.as<LoopObject>().length(*this) > 0;
    default:
      return true;
  }
}

bool Render::equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      if (a.text().size() == b.text().size()) work(a.text().size());
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple: {
      if (a.object() == b.object()) return true;
      const auto &x = a.sequence().items, &y = b.sequence().items;
      if (x.size() != y.size()) return false;
      const Deeper deeper(*this);
      for (size_t i = 0; i < x.size(); ++i) {
        step();
        if (!equal(x[i], y[i])) return false;
      }
      return true;
    }
    case Kind::dict: {
      if (a.object() == b.object()) return true;
      const DictObject &x = a.dict(), &y = b.dict();
      if (x.entries.size() != y.entries.size()) return false;
      const Deeper deeper(*this);
      for (const auto& [key, value] : x.entries) {
        step();
        const Value* other = dict_find(y, key);
        if (!other || !equal(value, *other)) return false;
      }
      return true;
    }
    case Kind::range: {
      const auto &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
      return x.length == y.length && (x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step)));
    }
    case Kind::view: {
      const auto &x = a.as<ViewObject>(), &y = b.as<ViewObject>();
      if (a.object() == b.object()) return true;
      if (x.part != y.part || x.part == ViewObject::Part::values) return false;
      if (x.part == ViewObject::Part::items) return equal(x.dict, y.dict);
      if (length(a) != length(b)) return false;
      for (const auto& [key, value] : x.dict.dict().entries) {
        if (!dict_find(y.dict.dict(), key)) return false;
      }
      return true;
    }
    case Kind::function: {
      const auto &x = a.as<FunctionObject>(), &y = b.as<FunctionObject>();
      return x.call == y.call &&
             (x.self.is_missing() ? y.self.is_missing()
                                  : x.self.is_object() && y.self.is_object() && x.self.object() == y.self.object());
    }
    default:
      return a.object() == b.object();
  }
}

bool Render::less(const Value& a, const Value& b) {
  step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == -1;
  if (a.is_undefined()) undefined_error(a);
  if (b.is_undefined()) undefined_error(b);
  if (a.is_string() && b.is_string()) {
    work(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();  // UTF-8 sorts by code points
  }
  if (a.kind() == b.kind() && a.is_sequence()) {
    const Deeper deeper(*this);
    const auto &x = a.sequence().items, &y = b.sequence().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  error("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

bool Render::compare(Comparison op, const Value& a, const Value& b) {
  const auto has_nan = [&] { return a.is_number() && b.is_number() && compare_numbers(a, b) == 2; };
  switch (op) {
    case Comparison::equal:
      return equal(a, b);
    case Comparison::not_equal:
      return !equal(a, b);
    case Comparison::less:
      return less(a, b);
    case Comparison::greater:
      return less(b, a);
    case Comparison::less_equal:
      return !has_nan() && !less(b, a);
    case Comparison::greater_equal:
      return !has_nan() && !less(a, b);
    case Comparison::in:
      return contains(b, a);
    case Comparison::not_in:
      return !contains(b, a);
  }
  return false;
}

bool Render::contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::string:
      if (!item.is_string()) error("'in <string>' requires string as left operand, not {}", type_name(item));
      work(container.text().size());
      return container.text().find(item.text()) != std::string::npos;
    case Kind::dict:
      return dict_find(container.dict(), item) != nullptr;
    case Kind::range: {
      const auto& r = container.as<RangeObject>();
      if (!item.is_number() || r.length == 0) return false;
      if (item.is(Kind::floating) && (std::floor(item.floating()) != item.floating() || std::fabs(item.floating()) > 9e18))
        return false;
      const int64_t x = item.is_integral() ? item.integer() : static_cast<int64_t>(item.floating());
      const int64_t last = r.start + (r.length - 1) * r.step;
      if (x < std::min(r.start, last) || x > std::max(r.start, last)) return false;
      return (x - r.start) % r.step == 0;
    }
    case Kind::view: {
      const auto& view = container.as<ViewObject>();
      if (view.part == ViewObject::Part::keys) return dict_find(view.dict.dict(), item) != nullptr;
      break;
    }
    case Kind::list:
    case Kind::tuple:
      for (const Value& v : container.sequence().items) {
        step();
        if (equal(v, item)) return true;
      }
      return false;
    default:
      break;
  }
  if (!is_iterable(container)) error("argument of type '{}' is not iterable", type_name(container));
  const Value source = iterate(container);
  Value v;
  while (next(source, v)) {
    if (equal(v, item)) return true;
  }
  return false;
}

size_t Render::hash(const Value& v) {
  switch (v.kind()) {
    case Kind::none:
      return 0x9E3779B9;
    case Kind::undefined:
    case Kind::missing:
      return 0x85EBCA6B;
    case Kind::boolean:
    case Kind::integer:
      return std::hash<int64_t>()(v.integer());
    case Kind::floating: {
      const double d = v.floating();
      if (std::fabs(d) < 9e18 && std::floor(d) == d) return std::hash<int64_t>()(static_cast<int64_t>(d));
      return std::hash<double>()(d);
    }
    case Kind::string:
      work(v.text().size());
      return std::hash<std::string_view>()(v.text());
    case Kind::tuple: {
      const Deeper deeper(*this);
      size_t h = 0x345678;
      for (const Value& item : v.sequence().items) {
        step();
        h = (h ^ hash(item)) * 1000003;
      }
      return h;
    }
    case Kind::list:
    case Kind::dict:
      error("unhashable type: '{}'", type_name(v));
    default:
      return std::hash<const void*>()(v.object());
  }
}

// ---- arithmetic

namespace {

Value repeat(Render& r, const Value& what, int64_t n) {
  const size_t count = static_cast<size_t>(std::max<int64_t>(n, 0));
  if (what.is_string()) {
    const std::string& text = what.text();
    size_t bytes = 0;
    if (__builtin_mul_overflow(text.size(), count, &bytes)) bytes = SIZE_MAX / 2;
    r.heap().check(bytes);
    r.work(bytes);
    std::string out;
    if (!text.empty()) {
      out.reserve(bytes);
      for (size_t i = 0; i < count; ++i) out += text;
    }
    return r.string(std::move(out), what.string().markup);
  }
  const auto& items = what.sequence().items;
  size_t bytes = 0;
  if (__builtin_mul_overflow(items.size() * sizeof(Value), count, &bytes)) bytes = SIZE_MAX / 2;
  r.heap().check(bytes);
  r.work(bytes);
  std::vector<Value> out;
  if (!items.empty()) {
    out.reserve(items.size() * count);
    for (size_t i = 0; i < count; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return r.sequence(what.kind(), std::move(out));
}

int64_t integer_power(Render& r, int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = checked_multiply(r, result, base);
    if (exponent > 1) base = checked_multiply(r, base, base);
  }
  return result;
}

double float_power(Render& r, double a, double b) {
  if (a == 0 && b < 0) r.error("0.0 cannot be raised to a negative power");
  if (a < 0 && std::floor(b) != b && std::isfinite(a) && std::isfinite(b)) r.error("complex numbers are not supported");
  const double p = std::pow(a, b);
  if (std::isinf(p) && std::isfinite(a) && std::isfinite(b)) r.error("(34, 'Numerical result out of range')");
  return p;
}

Value integers(Render& r, ExprKind op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case ExprKind::add:
      return Value(checked_add(r, a, b));
    case ExprKind::subtract:
      if (__builtin_sub_overflow(a, b, &out)) r.error("integer overflow: {} - {} does not fit 64 bits", a, b);
      return Value(out);
    case ExprKind::multiply:
      return Value(checked_multiply(r, a, b));
    case ExprKind::divide:
      if (b == 0) r.error("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case ExprKind::floor_divide:
    case ExprKind::modulo: {
      if (b == 0) r.error("integer division or modulo by zero");
      if (b == -1) {
        if (op == ExprKind::modulo) return Value(int64_t{0});
        return integers(r, ExprKind::subtract, 0, a);
      }
      int64_t q = a / b, m = a % b;
      if (m != 0 && (m < 0) != (b < 0)) {
        m += b;
        --q;
      }
      return Value(op == ExprKind::modulo ? m : q);
    }
    default:
      if (b >= 0) return Value(integer_power(r, a, b));
      return Value(float_power(r, static_cast<double>(a), static_cast<double>(b)));
  }
}

Value floats(Render& r, ExprKind op, double a, double b) {
  switch (op) {
    case ExprKind::add:
      return Value(a + b);
    case ExprKind::subtract:
      return Value(a - b);
    case ExprKind::multiply:
      return Value(a * b);
    case ExprKind::divide:
      if (b == 0) r.error("float division by zero");
      return Value(a / b);
    case ExprKind::floor_divide:
      if (b == 0) r.error("float floor division by zero");
      return Value(python_floor_divide(a, b));
    case ExprKind::modulo:
      if (b == 0) r.error("float modulo");
      return Value(python_modulo(a, b));
    default:
      return Value(float_power(r, a, b));
  }
}

std::string_view operator_text(ExprKind op) {
  switch (op) {
    case ExprKind::add:
      return "+";
    case ExprKind::subtract:
      return "-";
    case ExprKind::multiply:
      return "*";
    case ExprKind::divide:
      return "/";
    case ExprKind::floor_divide:
      return "//";
    case ExprKind::modulo:
      return "%";
    default:
      return "** or pow()";
  }
}

}  // namespace

Value Render::binary(ExprKind op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return integers(*this, op, a.integer(), b.integer());
    return floats(*this, op, a.as_double(), b.as_double());
  }
  if (op == ExprKind::modulo && a.is_string()) return string(percent_format(*this, a, b), a.string().markup);
  if (a.is_undefined()) undefined_error(a);
  if (b.is_undefined()) undefined_error(b);
  if (op == ExprKind::add) {
    if (a.is_string() && b.is_string()) {
      heap_.check(a.text().size() + b.text().size());
      work(a.text().size() + b.text().size());
      const bool markup = is_markup(a) || is_markup(b);
      return string(markup ? escaped(a) + escaped(b) : a.text() + b.text(), markup);
    }
    if (a.is_sequence() && a.kind() == b.kind()) {
      const auto &x = a.sequence().items, &y = b.sequence().items;
      heap_.check((x.size() + y.size()) * sizeof(Value));
      std::vector<Value> items;
      items.reserve(x.size() + y.size());
      items.insert(items.end(), x.begin(), x.end());
      items.insert(items.end(), y.begin(), y.end());
      return sequence(a.kind(), std::move(items));
    }
  }
  if (op == ExprKind::multiply) {
    if ((a.is_string() || a.is_sequence()) && b.is_integral()) return repeat(*this, a, b.integer());
    if ((b.is_string() || b.is_sequence()) && a.is_integral()) return repeat(*this, b, a.integer());
  }
  if (op == ExprKind::add && a.is_string()) error("can only concatenate str (not \"{}\") to str", type_name(b));
  error("unsupported operand type(s) for {}: '{}' and '{}'", operator_text(op), type_name(a), type_name(b));
}

Value Render::negate(const Value& v, bool minus) {
  if (v.is(Kind::floating)) return Value(minus ? -v.floating() : v.floating());
  if (v.is_integral()) return minus ? integers(*this, ExprKind::subtract, 0, v.integer()) : Value(v.integer());
  if (v.is_undefined()) undefined_error(v);
  error("bad operand type for unary {}: '{}'", minus ? "-" : "+", type_name(v));
}

std::vector<Value> Render::sorted(std::vector<Value> values, const std::vector<Value>* keys, bool reverse) {
  // A merge sort of places: stable, and safe with comparisons that throw or contradict each other.
  const size_t n = values.size();
  std::vector<size_t> order(n), other(n);
  for (size_t i = 0; i < n; ++i) order[i] = reverse ? n - 1 - i : i;  // reversed twice, equal values keep their order
  const auto& by = keys ? *keys : values;
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * width) {
      const size_t middle = std::min(begin + width, n), end = std::min(begin + 2 * width, n);
      for (size_t i = begin, j = middle, to = begin; to < end; ++to) {
        other[to] = j >= end || (i < middle && !less(by[order[j]], by[order[i]])) ? order[i++] : order[j++];
      }
    }
    order.swap(other);
  }
  if (reverse) std::reverse(order.begin(), order.end());
  std::vector<Value> out;
  out.reserve(n);
  for (const size_t i : order) out.push_back(values[i]);
  return out;
}

}  // namespace phial::tmpl
