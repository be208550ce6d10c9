// Attributes, subscripts, slices, lengths and iteration of template values.
#include <algorithm>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

struct SequenceIterator : IteratorObject {
  SequenceIterator(Heap& heap, Value of)
      : IteratorObject(heap, of.is(Kind::list) ? "list_iterator" : "tuple_iterator"), of(std::move(of)) {}
  void clear() override { of = Value(); }
  bool next(Render&, Value& out) override {
    if (of.is_missing() || at >= of.sequence().items.size()) return false;
    out = of.sequence().items[at++];
    return true;
  }
  Value of;
  size_t at = 0;
};

struct StringIterator : IteratorObject {
  StringIterator(Heap& heap, Value of) : IteratorObject(heap, "str_iterator"), of(std::move(of)) {}
  void clear() override { of = Value(); }
  bool next(Render& render, Value& out) override {
    if (of.is_missing() || at >= of.text().size()) return false;
    const size_t from = at;
    next_char(of.text(), at);
    out = render.string(of.text().substr(from, at - from), of.string().markup);
    return true;
  }
  Value of;
  size_t at = 0;
};

struct RangeIterator : IteratorObject {
  RangeIterator(Heap& heap, const RangeObject& r)
      : IteratorObject(heap, "range_iterator"), value(r.start), step(r.step), left(r.length) {}
  bool next(Render&, Value& out) override {
    if (left <= 0) return false;
    out = Value(value);
    if (--left > 0) value += step;
    return true;
  }
  int64_t value, step, left;
};

struct DictIterator : IteratorObject {
  DictIterator(Heap& heap, Value of, ViewObject::Part part)
      : IteratorObject(heap, "dict_iterator"), of(std::move(of)), part(part) {}
  void clear() override { of = Value(); }
  bool next(Render& render, Value& out) override {
    if (of.is_missing() || at >= of.dict().entries.size()) return false;
    const auto& [key, value] = of.dict().entries[at++];
    out = part == ViewObject::Part::keys ? key : part == ViewObject::Part::values ? value : render.tuple({key, value});
    return true;
  }
  Value of;
  ViewObject::Part part;
  size_t at = 0;
};

struct NoIterator : IteratorObject {
  explicit NoIterator(Heap& heap) : IteratorObject(heap, "generator") {}
  bool next(Render&, Value&) override { return false; }
};

struct LoopIterator : IteratorObject {  // a loop object as an iterable gives (item, loop)
  LoopIterator(Heap& heap, Value loop) : IteratorObject(heap, "LoopContext"), loop(std::move(loop)) {}
  void clear() override { loop = Value(); }
  bool next(Render& render, Value& out) override {
    Value item;
    if (loop.is_missing() || !loop.as<LoopObject>().advance(render, item)) return false;
    out = render.tuple({item, loop});
    return true;
  }
  Value loop;
};

}  // namespace

// ---- attributes, subscripts, slices

namespace {

std::string no_attribute(const Value& of, std::string_view name) {
  const std::string_view type = of.is_none() ? "None" : type_name(of);
  const char* where = of.is(Kind::name_space)                   ? "jinja2.utils."
                      : of.is(Kind::loop) || of.is(Kind::macro) ? "jinja2.runtime."
                                                                : "";
  return fmt::format("'{}{}{}' has no attribute '{}'", where, type, of.is_none() ? "" : " object", printable(name));
}

}  // namespace

Value Render::attribute(const Value& of, std::string_view name) {
  if (name.substr(0, 2) == "__") {
    // Python's own attributes, the door to its object model, do not exist here.
    if (!of.is(Kind::dict) || !dict_find(of.dict(), name) || name.substr(name.size() - 2) == "__") {
      error("access to attribute '{}' of '{}' object is unsafe", printable(name), type_name(of));
    }
  }
  if (of.is_undefined()) undefined_error(of);
  Value found = find_attribute(of, name);
  if (!found.is_missing()) return found;
  if (of.is(Kind::dict)) {
    if (const Value* v = dict_find(of.dict(), name)) return *v;
  }
  return undefined(no_attribute(of, name));
}

Value Render::item(const Value& of, const Value& index) {
  if (of.is_undefined()) undefined_error(of);
  if (of.is(Kind::dict)) {
    if (!index.is_sequence() || index.is(Kind::tuple)) {
      if (!index.is(Kind::dict)) {
        if (const Value* v = dict_find(of.dict(), index)) return *v;
      }
    }
  } else if (index.is_integral()) {
    int64_t i = index.integer();
    if (of.is_sequence()) {
      const auto& items = of.sequence().items;
      const auto n = static_cast<int64_t>(items.size());
      if (i < 0) i += n;
      if (i >= 0 && i < n) return items[static_cast<size_t>(i)];
    } else if (of.is_string()) {
      const std::string& text = of.text();
      const int64_t n = n_chars(of);
      if (i < 0) i += n;
      if (i >= 0 && i < n) {
        size_t from = static_cast<size_t>(i);
        if (n != static_cast<int64_t>(text.size())) {
          work(text.size());
          from = byte_offset(text, i);
        }
        size_t to = from;
        next_char(text, to);
        return string(text.substr(from, to - from), of.string().markup);
      }
    } else if (of.is(Kind::range)) {
      const auto& r = of.as<RangeObject>();
      if (i < 0) i += r.length;
      if (i >= 0 && i < r.length) return Value(r.start + i * r.step);
    }
  }
  if (index.is_string()) {
    if (index.text().substr(0, 2) == "__")
      error("access to attribute '{}' of '{}' object is unsafe", printable(index.text()), type_name(of));
    Value found = find_attribute(of, index.text());
    if (!found.is_missing()) return found;
    return undefined(no_attribute(of, index.text()));
  }
  const std::string_view type = of.is_none() ? "None" : type_name(of);
  return undefined(fmt::format("{}{} has no element {}", type, of.is_none() ? "" : " object", repr(index)));
}

Value Render::slice(const Value& of, const Value& start, const Value& stop, const Value& step_value) {
  if (of.is_undefined()) undefined_error(of);
  if (!of.is_string() && !of.is_sequence() && !of.is(Kind::range)) {
    if (of.is(Kind::dict)) error("unhashable type: 'slice'");
    error("'{}' object is not subscriptable", type_name(of));
  }
  const auto number = [&](const Value& v, int64_t otherwise) {
    if (v.is_none()) return otherwise;
    if (!v.is_integral()) error("slice indices must be integers or None or have an __index__ method");
    return v.integer();
  };
  const int64_t by = number(step_value, 1);
  if (by == 0) error("slice step cannot be zero");
  const int64_t n = length(of);
  const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
  const auto clamp = [&](const Value& v, int64_t otherwise) {
    if (v.is_none()) return otherwise;
    int64_t i = number(v, 0);
    if (i < 0) i = i < -n ? low : std::max(i + n, low);
    return std::min(i, high);
  };
  const int64_t from = clamp(start, by < 0 ? high : low), to = clamp(stop, by < 0 ? low : high);
  int64_t count = 0;
  if (by > 0 && from < to) count = (to - from - 1) / by + 1;
  if (by < 0 && from > to) count = (from - to - 1) / -(by + (by == INT64_MIN)) + 1;
  if (of.is(Kind::range)) {
    const auto& r = of.as<RangeObject>();
    return Value(Kind::range, heap_.make<RangeObject>(0, r.start + from * r.step, r.step * by, count, r.start + to * r.step));
  }
  if (of.is_string()) {
    const std::string& text = of.text();
    work(text.size());
    const bool markup = of.string().markup;
    if (by == 1) {
      const bool ascii = n == static_cast<int64_t>(text.size());
      const size_t begin = ascii ? static_cast<size_t>(from) : byte_offset(text, from);
      const size_t bytes = ascii ? static_cast<size_t>(count) : byte_offset(std::string_view(text).substr(begin), count);
      return string(text.substr(begin, bytes), markup);
    }
    const std::u32string chars = decode(text);
    std::string out;
    for (int64_t i = 0, at = from; i < count; ++i, at += by) append_char(out, chars[static_cast<size_t>(at)]);
    return string(std::move(out), markup);
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t i = 0, at = from; i < count; ++i, at += by) items.push_back(of.sequence().items[static_cast<size_t>(at)]);
  return sequence(of.kind(), std::move(items));
}

// ---- length and iteration

std::optional<int64_t> Render::try_length(const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return n_chars(v);
    case Kind::list:
    case Kind::tuple:
      return static_cast<int64_t>(v.sequence().items.size());
    case Kind::dict:
      return static_cast<int64_t>(v.dict().entries.size());
    case Kind::view:
      return static_cast<int64_t>(v.as<ViewObject>().dict.dict().entries.size());
    case Kind::range:
      return v.as<RangeObject>().length;
    case Kind::loop:
      return v.as<LoopObject>().length(*this);
    default:
      return std::nullopt;
  }
}

int64_t Render::length(const Value& v) {
  const auto n = try_length(v);
  if (!n) error("object of type '{}' has no len()", type_name(v));
  return *n;
}

bool Render::is_iterable(const Value& v) const {
  return v.is_collection() || v.kind() == Kind::view || v.kind() == Kind::iterator || v.kind() == Kind::loop;
}

Value Render::iterate(const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return iterator<NoIterator>();
    case Kind::string:
      return iterator<StringIterator>(v);
    case Kind::list:
    case Kind::tuple:
      return iterator<SequenceIterator>(v);
    case Kind::dict:
      return iterator<DictIterator>(v, ViewObject::Part::keys);
    case Kind::view:
      return iterator<DictIterator>(v.as<ViewObject>().dict, v.as<ViewObject>().part);
    case Kind::range:
      return iterator<RangeIterator>(v.as<RangeObject>());
    case Kind::iterator:
      return v;
    case Kind::loop:
      return iterator<LoopIterator>(v);
    default:
      error("'{}' object is not iterable", type_name(v));
  }
}

bool Render::next(const Value& iterator, Value& out) {
  step();
  return iterator.as<IteratorObject>().next(*this, out);
}

std::vector<Value> Render::collect(const Value& v) {
  if (v.is_sequence()) {
    step(1 + v.sequence().items.size() / 4);
    return v.sequence().items;
  }
  std::vector<Value> items;
  const Value source = iterate(v);
  Value item;
  while (next(source, item)) {
    if ((items.size() & 1023) == 0) heap_.check(items.size() * sizeof(Value));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace phial::tmpl
