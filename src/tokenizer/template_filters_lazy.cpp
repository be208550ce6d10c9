// Jinja's filters that give generators in Python. They are lazy here too: nothing runs, and nothing fails, before their values
// are asked for.
#include <algorithm>

#include "tokenizer/template_filters.h"

namespace phial::tmpl {
namespace {

/// Base of the lazy filters: `start` runs when the first value is asked for.
struct LazyFilter : IteratorObject {
  LazyFilter(Heap& heap, Value input, Args args)
      : IteratorObject(heap, "generator"), input(std::move(input)), args(std::move(args)) {}
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
    if (args.positional.empty() &&
        std::any_of(args.named.begin(), args.named.end(), [](const auto& a) { return a.first == "attribute"; })) {
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
}  // namespace

Value map_filter(Render& r, const Value& v, Args& args) { return r.iterator<MapFilter>(v, std::move(args)); }
Value unique_filter(Render& r, const Value& v, Args& args) { return r.iterator<UniqueFilter>(v, std::move(args)); }
Value batch_filter(Render& r, const Value& v, Args& args) { return r.iterator<BatchFilter>(v, std::move(args)); }
Value slice_filter(Render& r, const Value& v, Args& args) { return r.iterator<SliceFilter>(v, std::move(args)); }
Value select_filter(Render& r, const Value& v, Args& args) { return r.iterator<SelectFilter>(v, std::move(args), true, false); }
Value reject_filter(Render& r, const Value& v, Args& args) { return r.iterator<SelectFilter>(v, std::move(args), false, false); }
Value selectattr_filter(Render& r, const Value& v, Args& args) {
  return r.iterator<SelectFilter>(v, std::move(args), true, true);
}
Value rejectattr_filter(Render& r, const Value& v, Args& args) {
  return r.iterator<SelectFilter>(v, std::move(args), false, true);
}

Value items_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "items", {}, nullptr);
  return r.iterator<ItemsFilter>(v, Args());
}

}  // namespace phial::tmpl
