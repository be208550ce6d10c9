// Jinja's tests (`x is name`) and global functions.
#include <locale.h>
#include <algorithm>
#include <cmath>
#include <ctime>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

void no_arguments(Render& r, Args& args, const char* test) { bind_args(r, args, test, {}, nullptr); }

Value one_argument(Render& r, Args& args, const char* test, const char* name) {
  Value v;
  bind_args(r, args, test, {name}, &v, 1);
  return v;
}

template <Comparison op>
bool compares(Render& r, const Value& v, Args& args) {
  return r.compare(op, v, one_argument(r, args, "comparison", "other"));
}

template <bool (*F)(Render&, const Value&)>
bool simple(Render& r, const Value& v, Args& args) {
  no_arguments(r, args, "test");
  return F(r, v);
}

bool remainder_is(Render& r, const Value& v, int64_t by, int64_t wanted) {
  return r.equal(r.binary(ExprKind::modulo, v, Value(by)), Value(wanted));
}

bool odd(Render& r, const Value& v) { return remainder_is(r, v, 2, 1); }
bool even(Render& r, const Value& v) { return remainder_is(r, v, 2, 0); }
bool is_defined(Render&, const Value& v) { return !v.is_undefined(); }
bool is_undefined(Render&, const Value& v) { return v.is_undefined(); }
bool is_none(Render&, const Value& v) { return v.is_none(); }
bool is_boolean(Render&, const Value& v) { return v.is(Kind::boolean); }
bool is_false(Render&, const Value& v) { return v.is(Kind::boolean) && !v.boolean(); }
bool is_true(Render&, const Value& v) { return v.is(Kind::boolean) && v.boolean(); }
bool is_integer(Render&, const Value& v) { return v.is(Kind::integer); }
bool is_float(Render&, const Value& v) { return v.is(Kind::floating); }
bool is_string(Render&, const Value& v) { return v.is_string(); }
bool is_mapping(Render&, const Value& v) { return v.is(Kind::dict); }
bool is_number(Render&, const Value& v) { return v.is_number(); }
bool is_escaped(Render& r, const Value& v) { return r.is_markup(v); }
bool is_iterable(Render& r, const Value& v) { return r.is_iterable(v); }

bool is_sequence(Render&, const Value& v) { return v.is_collection(); }

bool is_callable(Render&, const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
    case Kind::function:
    case Kind::macro:
    case Kind::loop:
    case Kind::joiner:
      return true;
    case Kind::block:
      return v.as<BlockObject>().stmt != nullptr;
    default:
      return false;
  }
}

bool has_case(Render& r, const Value& v, std::string_view method) {
  Args none;
  const Value text = r.string(r.text(v));
  return r.truth(r.call(r.find_attribute(text, method), none));
}
bool is_lower_case(Render& r, const Value& v) { return has_case(r, v, "islower"); }
bool is_upper_case(Render& r, const Value& v) { return has_case(r, v, "isupper"); }

bool divisible_by(Render& r, const Value& v, Args& args) {
  return r.equal(r.binary(ExprKind::modulo, v, one_argument(r, args, "divisibleby", "num")), Value(int64_t{0}));
}

bool same_as(Render& r, const Value& v, Args& args) {
  const Value other = one_argument(r, args, "sameas", "other");
  if (v.kind() != other.kind()) return false;
  if (v.is(Kind::integer)) return v.integer() == other.integer();
  if (v.is(Kind::boolean)) return v.boolean() == other.boolean();
  if (v.is_none()) return true;
  if (v.is_string() && v.text().size() <= 1) return v.text() == other.text();  // Python shares these
  return v.is_object() && v.object() == other.object();
}

bool in_test(Render& r, const Value& v, Args& args) { return r.contains(one_argument(r, args, "in", "seq"), v); }

bool names_filter(Render& r, const Value& v, Args& args) {
  no_arguments(r, args, "filter");
  if (!v.is_string()) r.hash(v);
  return v.is_string() && find_filter(v.text());
}
bool names_test(Render& r, const Value& v, Args& args) {
  no_arguments(r, args, "test");
  if (!v.is_string()) r.hash(v);
  return v.is_string() && find_test(v.text());
}

constexpr TestRow kTests[] = {
    {"odd", simple<odd>},
    {"even", simple<even>},
    {"divisibleby", divisible_by},
    {"defined", simple<is_defined>},
    {"undefined", simple<is_undefined>},
    {"filter", names_filter},
    {"test", names_test},
    {"none", simple<is_none>},
    {"boolean", simple<is_boolean>},
    {"false", simple<is_false>},
    {"true", simple<is_true>},
    {"integer", simple<is_integer>},
    {"float", simple<is_float>},
    {"lower", simple<is_lower_case>},
    {"upper", simple<is_upper_case>},
    {"string", simple<is_string>},
    {"mapping", simple<is_mapping>},
    {"number", simple<is_number>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>},
    {"callable", simple<is_callable>},
    {"sameas", same_as},
    {"escaped", simple<is_escaped>},
    {"in", in_test},
    {"==", compares<Comparison::equal>},
    {"eq", compares<Comparison::equal>},
    {"equalto", compares<Comparison::equal>},
    {"!=", compares<Comparison::not_equal>},
    {"ne", compares<Comparison::not_equal>},
    {">", compares<Comparison::greater>},
    {"gt", compares<Comparison::greater>},
    {"greaterthan", compares<Comparison::greater>},
    {"ge", compares<Comparison::greater_equal>},
    {">=", compares<Comparison::greater_equal>},
    {"<", compares<Comparison::less>},
    {"lt", compares<Comparison::less>},
    {"lessthan", compares<Comparison::less>},
    {"<=", compares<Comparison::less_equal>},
    {"le", compares<Comparison::less_equal>},
};

// ---- global functions

Value make_range(Render& r, const Value&, Args& args) {
  if (!args.named.empty()) r.error("range() takes no keyword arguments");
  const size_t n = args.positional.size();
  if (n < 1 || n > 3) r.error("range expected 1 to 3 arguments, got {}", n);
  int64_t a[3] = {0, 0, 1};
  for (size_t i = 0; i < n; ++i) {
    const Value& v = args.positional[i];
    if (!v.is_integral()) r.type_error("cannot be interpreted as an integer", v);
    a[n == 1 ? 1 : i] = v.integer();
  }
  const auto [start, stop, step] = a;
  if (step == 0) r.error("range() arg 3 must not be zero");
  uint64_t length = 0;
  if (step > 0 && start < stop)
    length = (static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) - 1) / static_cast<uint64_t>(step) + 1;
  if (step < 0 && start > stop)
    length = (static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) - 1) / (0 - static_cast<uint64_t>(step)) + 1;
  constexpr uint64_t kMaxRange = 100000;
  if (length > kMaxRange)
    fail(ErrorCode::budget, "range too big: the sandbox blocks ranges larger than {}, got {}; loop over less", kMaxRange, length);
  return Value(Kind::range, r.heap().make<RangeObject>(0, start, step, static_cast<int64_t>(length), stop));
}

/// What dict(...) and namespace(...) accept: a mapping or pairs, then named values.
Value dict_of(Render& r, Args& args, const char* function) {
  if (args.positional.size() > 1) r.error("{} expected at most 1 argument, got {}", function, args.positional.size());
  const Value d = r.dict();
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is(Kind::dict)) {
      for (const auto& [key, value] : from.dict().entries) r.dict_set(d, key, value);
    } else {
      const Value source = r.iterate(from);
      Value pair;
      while (r.next(source, pair)) {
        std::vector<Value> both = r.collect(pair);
        if (both.size() != 2) r.error("dictionary update sequence element has length {}; 2 is required", both.size());
        r.dict_set(d, both[0], both[1]);
      }
    }
  }
  for (auto& [name, value] : args.named) r.dict_set(d, r.string(name), std::move(value));
  return d;
}

Value make_dict(Render& r, const Value&, Args& args) { return dict_of(r, args, "dict"); }

Value make_namespace(Render& r, const Value&, Args& args) {
  const Value from = dict_of(r, args, "namespace");
  auto* object = r.heap().make<NamespaceObject>(0);
  const Value ns(Kind::name_space, object);
  for (const auto& [key, value] : from.dict().entries) {
    if (!key.is_string()) continue;  // unreachable by any attribute
    if (!key.text().empty() && key.text()[0] == '_') {
      r.error("chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'", printable(key.text()));
    }
    r.heap().grow(*object, sizeof(object->entries[0]) + key.text().size());
    object->entries.emplace_back(key.text(), value);
  }
  return ns;
}

Value make_cycler(Render& r, const Value&, Args& args) {
  if (!args.named.empty()) r.error("cycler() takes no keyword arguments");
  if (args.positional.empty()) r.error("at least one item has to be provided");
  auto* object = r.heap().make<CyclerObject>(args.positional.size() * sizeof(Value));
  object->items = std::move(args.positional);
  return Value(Kind::cycler, object);
}

Value make_joiner(Render& r, const Value&, Args& args) {
  Value separator;
  bind_args(r, args, "joiner", {"sep"}, &separator);
  if (separator.is_missing()) separator = r.string(", ");
  return Value(Kind::joiner, r.heap().make<JoinerObject>(0, separator));
}

Value raise_exception(Render& r, const Value&, Args& args) {
  Value message;
  bind_args(r, args, "raise_exception", {"message"}, &message, 1);
  r.error("{}", r.text(message));
}

Value strftime_now(Render& r, const Value&, Args& args) {
  Value format;
  bind_args(r, args, "strftime_now", {"format"}, &format, 1);
  if (!format.is_string()) r.type_error("cannot be the format of strftime_now()", format);
  return r.string(strftime(r, format.text()));
}

constexpr std::string_view kWords =
    "a ac accumsan ad adipiscing aenean aliquam aliquet amet ante aptent arcu at auctor augue bibendum blandit commodo "
    "condimentum congue "
    "consectetuer consequat conubia convallis cras cubilia cum curabitur curae cursus dapibus diam dictum dictumst dignissim dis "
    "dolor donec "
    "dui duis egestas eget eleifend elementum elit enim erat eros est et etiam eu euismod facilisi facilisis fames faucibus "
    "felis fermentum";

/// Filler text: n paragraphs of min to max words, as <p> unless html is off.
Value lipsum(Render& r, const Value&, Args& args) {
  Value a[4];
  bind_args(r, args, "lipsum", {"n", "html", "min", "max"}, a);
  const auto number = [&](const Value& v, int64_t otherwise) {
    if (v.is_missing()) return otherwise;
    if (!v.is_integral()) r.type_error("cannot be interpreted as an integer", v);
    return v.integer();
  };
  const int64_t n = number(a[0], 5), low = number(a[2], 20), high = number(a[3], 100);
  const bool html = a[1].is_missing() || r.truth(a[1]);
  if (low < 1 || high <= low) r.error("empty range for lipsum()");
  std::vector<std::string_view> words;
  for (size_t at = 0; at < kWords.size();) {
    const size_t end = std::min(kWords.find(' ', at), kWords.size());
    words.push_back(kWords.substr(at, end - at));
    at = end + 1;
  }
  std::string out;
  for (int64_t p = 0; p < n; ++p) {
    if (p > 0) out += html ? "\n" : "\n\n";
    if (html) out += "<p>";
    const auto count = low + static_cast<int64_t>((r.next_random() >> 33) % static_cast<uint64_t>(high - low));
    for (int64_t i = 0; i < count; ++i) {
      r.step();
      std::string word(words[(r.next_random() >> 33) % words.size()]);
      if (i == 0) word = capitalize(word);
      out += (i > 0 ? " " : "") + word;
      r.heap().check(out.size());
    }
    out += html ? ".</p>" : ".";
  }
  return r.string(std::move(out), html);
}

constexpr GlobalRow kGlobals[] = {
    {"range", make_range},          {"dict", make_dict},     {"namespace", make_namespace},
    {"cycler", make_cycler},        {"joiner", make_joiner}, {"raise_exception", raise_exception},
    {"strftime_now", strftime_now}, {"lipsum", lipsum},
};

template <typename Row, size_t n>
const Row* find_row(const Row (&table)[n], std::string_view name) {
  const Row* row = std::find_if(std::begin(table), std::end(table), [&](const Row& t) { return t.name == name; });
  return row == std::end(table) ? nullptr : row;
}

}  // namespace

const TestRow* find_test(std::string_view name) { return find_row(kTests, name); }
const GlobalRow* find_global(std::string_view name) { return find_row(kGlobals, name); }

std::string strftime(Render& r, std::string_view format) {
  const Render::Time now = r.now();
  const auto seconds = static_cast<std::time_t>(now.seconds);
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  // Python fills in %f, %z and %Z itself (the time has no zone); the rest is the C library's, in the C locale.
  std::string pattern;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      pattern += format[i];
      continue;
    }
    const char c = format[++i];
    if (c == 'f') {
      pattern += fmt::format("{:06}", now.microseconds);
    } else if (c != 'z' && c != 'Z') {
      pattern += '%';
      pattern += c;
    }
  }
  constexpr size_t kMaxText = 64 << 10;
  if (pattern.size() > kMaxText / 16) r.error("the format of strftime_now() is too long");
  pattern += '.';  // an empty result is not an error then
  std::string out(kMaxText, '\0');
  const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  const size_t n = strftime_l(out.data(), out.size(), pattern.c_str(), &tm, plain);
  freelocale(plain);
  if (n == 0) r.error("the result of strftime_now() is too long");
  out.resize(n - 1);
  if (!is_valid_utf8(out)) r.error("the format of strftime_now() is not valid");
  return out;
}

}  // namespace phial::tmpl
