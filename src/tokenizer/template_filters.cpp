// Jinja's filters on sequences, mappings and numbers, and the table of all filters. Those that give generators in Python give
// lazy iterators here too: nothing runs, and nothing fails, before their values are asked for.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "tokenizer/template_filters.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {

int64_t integer_argument(Render& r, const Value& v, int64_t otherwise) {
  if (v.is_missing()) return otherwise;
  if (!v.is_integral()) r.type_error("cannot be interpreted as an integer", v);
  return v.integer();
}

Value soft_text(Render& r, const Value& v) { return v.is_string() ? v : r.string(r.text(v)); }

Value call_method(Render& r, const Value& of, std::string_view method, std::vector<Value> arguments) {
  Args args;
  args.positional = std::move(arguments);
  return r.call(r.attribute(of, method), args);
}

namespace {

Value lowered(Render& r, const Value& v) {
  if (!v.is_string()) return v;
  r.work(v.text().size() * 4);
  return r.string(lower(v.text()), v.string().markup);
}

/// Jinja's attribute paths: "a.b.0", or any other value as one subscript.
struct Path {
  std::vector<Value> parts;
  Value otherwise;  // instead of an undefined part, when given

  Path() = default;
  Path(Render& r, const Value& attribute, Value otherwise = {}) : otherwise(std::move(otherwise)) {
    if (attribute.is_missing() || attribute.is_none()) return;
    if (!attribute.is_string()) {
      parts.push_back(attribute);
      return;
    }
    const std::string& text = attribute.text();
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('.', at), text.size());
      const std::string part = text.substr(at, end - at);
      int64_t number = 0;
      const bool digits = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (digits && std::from_chars(part.data(), part.data() + part.size(), number).ec == std::errc()) {
        parts.push_back(Value(number));
      } else {
        parts.push_back(r.string(part));
      }
      at = end + 1;
    }
  }

  Value of(Render& r, Value v) const {
    for (const Value& part : parts) {
      v = r.item(v, part);
      if (v.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) v = otherwise;
    }
    return v;
  }
};

/// Base of the lazy filters: `start` runs when the first value is asked for.
struct LazyFilter : IteratorObject {
  LazyFilter(Heap& heap, Value input, Args args) : IteratorObject(heap, "generator"), input(std::move(input)), args(std::move(args)) {}
  void clear() override {
    input = source = Value();
    args = {};
    path.parts.clear();
    path.otherwise = Value();
  }
  bool next(Render& r, Value& out) final {
    const Render::Deeper deeper(r);
    if (!started) {
      started = true;
      done = !start(r);
    }
    if (!done) done = !produce(r, out);
    return !done;
  }
  virtual bool start(Render& r) {
    source = r.iterate(input);
    return true;
  }
  virtual bool produce(Render& r, Value& out) = 0;

  Value input, source;
  Args args;
  Path path;
  bool started = false, done = false;
};

struct MapFilter : LazyFilter {
  using LazyFilter::LazyFilter;
  bool start(Render& r) override {
    if (!r.truth(input)) return false;
    if (args.positional.empty() && std::any_of(args.named.begin(), args.named.end(), [](const auto& a) { return a.first == "attribute"; })) {
      Value attribute, otherwise;
      for (auto& [key, value] : args.named) {
        if (key == "attribute") {
          attribute = value;
        } else if (key == "default") {
          otherwise = value;
        } else {
          r.error("unexpected keyword argument '{}'", printable(key));
        }
      }
      path = Path(r, attribute, otherwise);
    } else {
      if (args.positional.empty()) r.error("map requires a filter argument");
      if (!args.positional[0].is_string()) r.error("no filter named {}", r.repr(args.positional[0]));
      name = args.positional[0].text();
      args.positional.erase(args.positional.begin());
    }
    return LazyFilter::start(r);
  }
  bool produce(Render& r, Value& out) override {
    Value v;
    if (!r.next(source, v)) return false;
    if (name.empty()) {
      out = path.of(r, std::move(v));
    } else {
      Args copy = args;
      out = r.apply_filter(name, v, copy);
    }
    return true;
  }
  std::string name;
};

struct SelectFilter : LazyFilter {
  SelectFilter(Heap& heap, Value input, Args args, bool keep, bool by_attribute)
      : LazyFilter(heap, std::move(input), std::move(args)), keep(keep), by_attribute(by_attribute) {}
  bool start(Render& r) override {
    if (!r.truth(input)) return false;
    auto& a = args.positional;
    if (by_attribute) {
      if (a.empty()) r.error("missing parameter for attribute name");
      path = Path(r, a[0]);
      a.erase(a.begin());
    }
    if (!a.empty()) {
      if (!a[0].is_string()) r.error("no test named {}", r.repr(a[0]));
      test = a[0].text();
      a.erase(a.begin());
    }
    return LazyFilter::start(r);
  }
  bool produce(Render& r, Value& out) override {
    while (r.next(source, out)) {
      const Value v = path.of(r, out);
      Args copy = args;
      if ((test.empty() ? r.truth(v) : r.apply_test(test, v, copy)) == keep) return true;
    }
    return false;
  }
  bool keep, by_attribute;
  std::string test;
};

struct UniqueFilter : LazyFilter {
  using LazyFilter::LazyFilter;
  void clear() override {
    LazyFilter::clear();
    seen = Value();
  }
  bool start(Render& r) override {
    Value a[2];
    bind_args(r, args, "unique", {"case_sensitive", "attribute"}, a);
    case_sensitive = !a[0].is_missing() && r.truth(a[0]);
    path = Path(r, a[1]);
    seen = r.dict();
    return LazyFilter::start(r);
  }
  bool produce(Render& r, Value& out) override {
    while (r.next(source, out)) {
      Value key = path.of(r, out);
      if (!case_sensitive) key = lowered(r, key);
      if (r.dict_find(seen.dict(), key)) continue;
      r.dict_set(seen, std::move(key), Value::none());
      return true;
    }
    return false;
  }
  bool case_sensitive = false;
  Value seen;
};

struct BatchFilter : LazyFilter {
  using LazyFilter::LazyFilter;
  void clear() override {
    LazyFilter::clear();
    fill = pending = Value();
  }
  bool start(Render& r) override {
    Value a[2];
    bind_args(r, args, "batch", {"linecount", "fill_with"}, a, 1);
    count = a[0];
    fill = a[1];
    return LazyFilter::start(r);
  }
  bool produce(Render& r, Value& out) override {
    std::vector<Value> line;
    const auto is_full = [&] { return r.equal(Value(static_cast<int64_t>(line.size())), count); };
    if (first && is_full()) {  // a count of 0 gives one empty line first
      first = false;
      if (!r.next(source, pending)) return false;
      out = r.list({});
      return true;
    }
    first = false;
    if (!pending.is_missing()) line.push_back(std::move(pending));
    pending = Value();
    Value v;
    while (r.next(source, v)) {
      if (is_full()) {
        pending = std::move(v);
        out = r.list(std::move(line));
        return true;
      }
      line.push_back(std::move(v));
    }
    if (line.empty()) return false;
    if (!fill.is_missing() && !fill.is_none()) {
      const int64_t n = integer_argument(r, count, 0);
      r.heap().check(static_cast<size_t>(std::max<int64_t>(n, 0)) * sizeof(Value));
      while (static_cast<int64_t>(line.size()) < n) line.push_back(fill);
    }
    out = r.list(std::move(line));
    return true;
  }
  Value count, fill, pending;
  bool first = true;
};

struct SliceFilter : LazyFilter {
  using LazyFilter::LazyFilter;
  bool start(Render& r) override {
    Value a[2];
    bind_args(r, args, "slice", {"slices", "fill_with"}, a, 1);
    items = r.list(r.collect(input));
    slices = integer_argument(r, a[0], 0);
    if (slices == 0) r.error("integer division or modulo by zero");
    fill = a[1];
    return true;
  }
  void clear() override {
    LazyFilter::clear();
    items = fill = Value();
  }
  bool produce(Render& r, Value& out) override {
    if (number >= slices) return false;
    const auto& all = items.sequence().items;
    const auto n = static_cast<int64_t>(all.size());
    const int64_t each = n / slices, extra = n % slices;
    const int64_t begin = number * each + std::min(number, extra), end = begin + each + (number < extra ? 1 : 0);
    std::vector<Value> part(all.begin() + begin, all.begin() + end);
    if (!fill.is_missing() && !fill.is_none() && number >= extra) part.push_back(fill);
    ++number;
    out = r.list(std::move(part));
    return true;
  }
  Value items, fill;
  int64_t slices = 0, number = 0;
};

struct ItemsFilter : LazyFilter {
  using LazyFilter::LazyFilter;
  bool start(Render& r) override {
    if (input.is_undefined()) return false;
    if (!input.is(Kind::dict)) r.error("can only get item pairs from a mapping");
    source = r.iterate(Value(Kind::view, r.heap().make<ViewObject>(0, input, ViewObject::Part::items)));
    return true;
  }
  bool produce(Render& r, Value& out) override { return r.next(source, out); }
};

struct ReverseIterator : IteratorObject {
  ReverseIterator(Heap& heap, Value items) : IteratorObject(heap, "list_reverseiterator"), items(std::move(items)), left(this->items.sequence().items.size()) {}
  void clear() override { items = Value(); }
  bool next(Render&, Value& out) override {
    if (items.is_missing() || left == 0) return false;
    out = items.sequence().items[--left];
    return true;
  }
  Value items;
  size_t left;
};

template <typename Filter>
Value lazy(Render& r, const Value& v, Args& args) {
  return r.iterator<Filter>(v, std::move(args));
}
template <bool keep, bool by_attribute>
Value selecting(Render& r, const Value& v, Args& args) {
  return r.iterator<SelectFilter>(v, std::move(args), keep, by_attribute);
}

Value items_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "items", {}, nullptr);
  return r.iterator<ItemsFilter>(v, Args());
}

// ---- sequences

Value list_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "list", {}, nullptr);
  return r.list(r.collect(v));
}

Value length_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "length", {}, nullptr);
  return Value(r.length(v));
}

Value first_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "first", {}, nullptr);
  Value out;
  return r.next(r.iterate(v), out) ? out : r.undefined("No first item, sequence was empty.");
}

bool is_reversible(const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::view:
    case Kind::range: return true;
    default: return false;
  }
}

Value last_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "last", {}, nullptr);
  if (!is_reversible(v)) r.type_error("is not reversible", v);
  if (v.is_sequence() || v.is_string()) {
    if (!r.truth(v)) return r.undefined("No last item, sequence was empty.");
    Value last = r.item(v, Value(int64_t{-1}));
    return last;
  }
  std::vector<Value> all = r.collect(v);
  return all.empty() ? r.undefined("No last item, sequence was empty.") : all.back();
}

Value reverse_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "reverse", {}, nullptr);
  if (v.is_string()) return r.slice(v, Value::none(), Value::none(), Value(int64_t{-1}));
  if (!r.is_iterable(v)) r.error("argument must be iterable");
  std::vector<Value> items = r.collect(v);
  if (is_reversible(v)) return r.iterator<ReverseIterator>(r.list(std::move(items)));
  std::reverse(items.begin(), items.end());
  return r.list(std::move(items));
}

Value random_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "random", {}, nullptr);
  const int64_t n = r.length(v);
  if (n == 0) return r.undefined("No random item, sequence was empty.");
  return r.item(v, Value(static_cast<int64_t>((r.next_random() >> 33) % static_cast<uint64_t>(n))));
}

Value sort_filter(Render& r, const Value& v, Args& args) {
  Value a[3];
  bind_args(r, args, "sort", {"reverse", "case_sensitive", "attribute"}, a);
  const bool reverse = !a[0].is_missing() && r.truth(a[0]), case_sensitive = !a[1].is_missing() && r.truth(a[1]);
  std::vector<Path> paths;
  if (a[2].is_string()) {
    const std::string& text = a[2].text();
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      paths.emplace_back(r, r.string(text.substr(at, end - at)));
      at = end + 1;
    }
  } else {
    paths.emplace_back(r, a[2]);
  }
  std::vector<Value> values = r.collect(v), keys;
  for (const Value& item : values) {
    std::vector<Value> key;
    for (const Path& path : paths) {
      Value part = path.of(r, item);
      key.push_back(case_sensitive ? std::move(part) : lowered(r, part));
    }
    keys.push_back(r.list(std::move(key)));
  }
  return r.list(r.sorted(std::move(values), &keys, reverse));
}

Value dictsort_filter(Render& r, const Value& v, Args& args) {
  Value a[3];
  bind_args(r, args, "dictsort", {"case_sensitive", "by", "reverse"}, a);
  const bool case_sensitive = !a[0].is_missing() && r.truth(a[0]), reverse = !a[2].is_missing() && r.truth(a[2]);
  const std::string by = a[1].is_missing() ? "key" : r.text(a[1]);
  if (by != "key" && by != "value") r.error("you can only sort by either \"key\" or \"value\"");
  std::vector<Value> values = r.collect(call_method(r, v, "items")), keys;
  for (const Value& pair : values) {
    const Value& key = pair.sequence().items[by == "key" ? 0 : 1];
    keys.push_back(case_sensitive ? key : lowered(r, key));
  }
  return r.list(r.sorted(std::move(values), &keys, reverse));
}

Value groupby_filter(Render& r, const Value& v, Args& args) {
  Value a[3];
  bind_args(r, args, "groupby", {"attribute", "default", "case_sensitive"}, a, 1);
  const Path path(r, a[0], a[1]);
  const bool case_sensitive = !a[2].is_missing() && r.truth(a[2]);
  const auto key_of = [&](const Value& item) {
    Value key = path.of(r, item);
    return case_sensitive ? key : lowered(r, key);
  };
  std::vector<Value> values = r.collect(v), keys;
  for (const Value& item : values) keys.push_back(key_of(item));
  values = r.sorted(std::move(values), &keys, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < values.size();) {
    const Value key = key_of(values[i]);
    std::vector<Value> members;
    size_t end = i;
    while (end < values.size() && r.equal(key_of(values[end]), key)) members.push_back(values[end++]);
    const Value shown = case_sensitive ? key : path.of(r, members[0]);
    Value group = r.tuple({shown, r.list(std::move(members))});
    group.sequence().fields = {"grouper", "list"};
    groups.push_back(std::move(group));
    i = end;
  }
  return r.list(std::move(groups));
}

template <bool want_less>
Value extreme_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, want_less ? "min" : "max", {"case_sensitive", "attribute"}, a);
  const bool case_sensitive = !a[0].is_missing() && r.truth(a[0]);
  const Path path(r, a[1]);
  const auto key_of = [&](const Value& item) {
    Value key = path.of(r, item);
    return case_sensitive ? key : lowered(r, key);
  };
  const Value source = r.iterate(v);
  Value best, item;
  if (!r.next(source, best)) return r.undefined("No aggregated item, sequence was empty.");
  Value best_key = key_of(best);
  while (r.next(source, item)) {
    Value key = key_of(item);
    if (!(want_less ? r.less(key, best_key) : r.less(best_key, key))) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return best;
}

Value sum_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, "sum", {"attribute", "start"}, a);
  const Path path(r, a[0]);
  Value sum = a[1].is_missing() ? Value(int64_t{0}) : a[1];
  if (sum.is_string()) r.error("sum() can't sum strings [use ''.join(seq) instead]");
  const Value source = r.iterate(v);
  Value item;
  while (r.next(source, item)) sum = r.binary(ExprKind::add, sum, path.of(r, item));
  return sum;
}

Value join_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, "join", {"d", "attribute"}, a);
  const Path path(r, a[1]);
  std::vector<Value> parts;
  const Value source = r.iterate(v);
  Value item;
  while (r.next(source, item)) parts.push_back(path.of(r, item));
  bool markup = false;
  if (r.autoescape()) {
    markup = r.is_markup(a[0]);
    for (const Value& p : parts) markup |= r.is_markup(p);
  }
  const auto text = [&](const Value& p) { return markup ? r.escaped(p) : r.text(p); };
  const std::string separator = a[0].is_missing() ? "" : text(a[0]);
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += text(parts[i]);
    r.heap().check(out.size());
  }
  r.work(out.size());
  return r.string(std::move(out), markup);
}

Value attr_filter(Render& r, const Value& v, Args& args) {
  Value name;
  bind_args(r, args, "attr", {"name"}, &name, 1);
  if (!name.is_string()) r.error("attribute name must be string, not '{}'", type_name(name));
  if (name.text().substr(0, 2) == "__") r.error("access to attribute '{}' of '{}' object is unsafe", printable(name.text()), type_name(v));
  if (v.is_undefined()) r.undefined_error(v);
  Value found = r.find_attribute(v, name.text());
  if (!found.is_missing()) return found;
  return r.undefined(fmt::format("'{} object' has no attribute '{}'", type_name(v), printable(name.text())));
}

Value default_filter(Render& r, const Value& v, Args& args) {
  Value a[2];
  bind_args(r, args, "default", {"default_value", "boolean"}, a);
  const bool replace = v.is_undefined() || (!a[1].is_missing() && r.truth(a[1]) && !r.truth(v));
  if (!replace) return v;
  return a[0].is_missing() ? r.string("") : a[0];
}

// ---- numbers

Value abs_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "abs", {}, nullptr);
  if (v.is(Kind::floating)) return Value(std::fabs(v.floating()));
  if (!v.is_integral()) r.type_error("is a bad operand type for abs()", v);
  return v.integer() < 0 ? r.negate(v, true) : Value(v.integer());
}

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
  if (scaled.is(Kind::floating) && !std::isfinite(scaled.floating())) r.error("cannot convert float {} to integer", float_repr(scaled.floating()));
  const Value whole = scaled.is_integral() ? scaled : truncated(r, method == "ceil" ? std::ceil(scaled.floating()) : std::floor(scaled.floating()));
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

constexpr FilterRow kFilters[] = {
    {"abs", abs_filter}, {"attr", attr_filter}, {"batch", lazy<BatchFilter>}, {"capitalize", capitalize_filter},
    {"center", center_filter}, {"count", length_filter}, {"d", default_filter}, {"default", default_filter},
    {"dictsort", dictsort_filter}, {"e", escape_filter}, {"escape", escape_filter}, {"filesizeformat", filesizeformat_filter},
    {"first", first_filter}, {"float", float_filter}, {"forceescape", forceescape_filter}, {"format", format_filter},
    {"groupby", groupby_filter}, {"indent", indent_filter}, {"int", int_filter}, {"items", items_filter}, {"join", join_filter},
    {"last", last_filter}, {"length", length_filter}, {"list", list_filter}, {"lower", lower_filter}, {"map", lazy<MapFilter>},
    {"max", extreme_filter<false>}, {"min", extreme_filter<true>}, {"pprint", pprint_filter}, {"random", random_filter},
    {"reject", selecting<false, false>}, {"rejectattr", selecting<false, true>}, {"replace", replace_filter},
    {"reverse", reverse_filter}, {"round", round_filter}, {"safe", safe_filter}, {"select", selecting<true, false>},
    {"selectattr", selecting<true, true>}, {"slice", lazy<SliceFilter>}, {"sort", sort_filter}, {"string", string_filter},
    {"striptags", striptags_filter}, {"sum", sum_filter}, {"title", title_filter}, {"tojson", to_json}, {"trim", trim_filter},
    {"truncate", truncate_filter}, {"unique", lazy<UniqueFilter>}, {"upper", upper_filter}, {"urlencode", urlencode_filter},
    {"urlize", urlize_filter}, {"wordcount", wordcount_filter}, {"wordwrap", wordwrap_filter}, {"xmlattr", xmlattr_filter},
};

}  // namespace

const FilterRow* find_filter(std::string_view name) {
  const FilterRow* row = std::find_if(std::begin(kFilters), std::end(kFilters), [&](const FilterRow& f) { return f.name == name; });
  return row == std::end(kFilters) ? nullptr : row;
}

}  // namespace phial::tmpl
