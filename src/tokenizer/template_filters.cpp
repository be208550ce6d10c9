// Jinja's filters on sequences and mappings, and the table of all filters.
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

Value lowered(Render& r, const Value& v) {
  if (!v.is_string()) return v;
  r.work(v.text().size() * 4);
  return r.string(lower(v.text()), v.string().markup);
}

Path::Path(Render& r, const Value& attribute, Value otherwise) : otherwise(std::move(otherwise)) {
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

Value Path::of(Render& r, Value v) const {
  for (const Value& part : parts) {
    v = r.item(v, part);
    if (v.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) v = otherwise;
  }
  return v;
}

namespace {

struct ReverseIterator : IteratorObject {
  ReverseIterator(Heap& heap, Value items)
      : IteratorObject(heap, "list_reverseiterator"), items(std::move(items)), left(this->items.sequence().items.size()) {}
  void clear() override { items = Value(); }
  bool next(Render&, Value& out) override {
    if (items.is_missing() || left == 0) return false;
    out = items.sequence().items[--left];
    return true;
  }
  Value items;
  size_t left;
};

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

bool is_reversible(const Value& v) { return v.is_collection() || v.kind() == Kind::view; }

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
  if (name.text().substr(0, 2) == "__")
    r.error("access to attribute '{}' of '{}' object is unsafe", printable(name.text()), type_name(v));
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
constexpr FilterRow kFilters[] = {
    {"abs", abs_filter},
    {"attr", attr_filter},
    {"batch", batch_filter},
    {"capitalize", capitalize_filter},
    {"center", center_filter},
    {"count", length_filter},
    {"d", default_filter},
    {"default", default_filter},
    {"dictsort", dictsort_filter},
    {"e", escape_filter},
    {"escape", escape_filter},
    {"filesizeformat", filesizeformat_filter},
    {"first", first_filter},
    {"float", float_filter},
    {"forceescape", forceescape_filter},
    {"format", format_filter},
    {"groupby", groupby_filter},
    {"indent", indent_filter},
    {"int", int_filter},
    {"items", items_filter},
    {"join", join_filter},
    {"last", last_filter},
    {"length", length_filter},
    {"list", list_filter},
    {"lower", lower_filter},
    {"map", map_filter},
    {"max", extreme_filter<false>},
    {"min", extreme_filter<true>},
    {"pprint", pprint_filter},
    {"random", random_filter},
    {"reject", reject_filter},
    {"rejectattr", rejectattr_filter},
    {"replace", replace_filter},
    {"reverse", reverse_filter},
    {"round", round_filter},
    {"safe", safe_filter},
    {"select", select_filter},
    {"selectattr", selectattr_filter},
    {"slice", slice_filter},
    {"sort", sort_filter},
    {"string", string_filter},
    {"striptags", striptags_filter},
    {"sum", sum_filter},
    {"title", title_filter},
    {"tojson", to_json},
    {"trim", trim_filter},
    {"truncate", truncate_filter},
    {"unique", unique_filter},
    {"upper", upper_filter},
    {"urlencode", urlencode_filter},
    {"urlize", urlize_filter},
    {"wordcount", wordcount_filter},
    {"wordwrap", wordwrap_filter},
    {"xmlattr", xmlattr_filter},
};

}  // namespace

const FilterRow* find_filter(std::string_view name) {
  const FilterRow* row =
      std::find_if(std::begin(kFilters), std::end(kFilters), [&](const FilterRow& f) { return f.name == name; });
  return row == std::end(kFilters) ? nullptr : row;
}

}  // namespace phial::tmpl
