// The allow-list of attributes: methods of strings, lists, tuples, dicts and numbers, and the fields of loops, macros, ranges
// and cyclers. Methods that change their object exist only as an undefined value, so that calling one is an error, as in
// jinja2's ImmutableSandboxedEnvironment.
#include <algorithm>
#include <cmath>

#include "tokenizer/template_methods.h"

namespace phial::tmpl {

void bind_args(Render& r, Args& args, const char* function, std::initializer_list<const char*> names, Value* out,
               size_t required) {
  const size_t n = names.size();
  if (args.positional.size() > n) r.error("{}() takes at most {} argument(s) ({} given)", function, n, args.positional.size());
  for (size_t i = 0; i < args.positional.size(); ++i) out[i] = std::move(args.positional[i]);
  for (auto& named : args.named) {
    auto& [name, value] = named;
    const auto* at = std::find_if(names.begin(), names.end(), [&](const char* known) { return named.first == known; });
    if (at == names.end()) r.error("{}() got an unexpected keyword argument '{}'", function, printable(name));
    Value& to = out[at - names.begin()];
    if (!to.is_missing()) r.error("{}() got multiple values for argument '{}'", function, name);
    to = std::move(value);
  }
  for (size_t i = 0; i < required; ++i) {
    if (out[i].is_missing()) r.error("{}() missing required argument: '{}'", function, names.begin()[i]);
  }
}
void positional(Render& r, Args& args, const char* function, Value* out, size_t required, size_t most) {
  if (!args.named.empty()) r.error("{}() takes no keyword arguments", function);
  if (args.positional.size() < required || args.positional.size() > most) {
    r.error("{}() takes {} to {} arguments ({} given)", function, required, most, args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) out[i] = std::move(args.positional[i]);
}

const std::string& text_of(Render& r, const Value& v, const char* function) {
  if (!v.is_string()) r.type_error(std::string("cannot be an argument of ") + function + "(), which wants a string", v);
  return v.text();
}

int64_t integer_of(Render& r, const Value& v) {
  if (!v.is_integral()) r.type_error("cannot be interpreted as an integer", v);
  return v.integer();
}

namespace {

Value dict_get(Render& r, const Value& self, Args& args) {
  Value a[2];
  positional(r, args, "get", a, 1, 2);
  const Value* v = r.dict_find(self.dict(), a[0]);
  if (v) return *v;
  return a[1].is_missing() ? Value::none() : a[1];
}

template <ViewObject::Part part>
Value dict_view(Render& r, const Value& self, Args& args) {
  positional(r, args, "dict view", nullptr, 0, 0);
  return Value(Kind::view, r.heap().make<ViewObject>(0, self, part));
}

Value copied(Render& r, const Value& self, Args& args) {
  positional(r, args, "copy", nullptr, 0, 0);
  if (!self.is(Kind::dict)) return r.sequence(self.kind(), self.sequence().items);
  const Value d = r.dict();
  for (const auto& [key, value] : self.dict().entries) r.dict_set(d, key, value);
  return d;
}

Value dict_fromkeys(Render& r, const Value&, Args& args) {
  Value a[2];
  positional(r, args, "fromkeys", a, 1, 2);
  const Value d = r.dict();
  for (Value& key : r.collect(a[0])) r.dict_set(d, std::move(key), a[1].is_missing() ? Value::none() : a[1]);
  return d;
}

Value sequence_count(Render& r, const Value& self, Args& args) {
  Value wanted;
  positional(r, args, "count", &wanted, 1, 1);
  int64_t n = 0;
  for (const Value& v : r.collect(self)) n += r.equal(v, wanted);
  return Value(n);
}

Value sequence_index(Render& r, const Value& self, Args& args) {
  Value a[3];
  positional(r, args, "index", a, 1, 3);
  const int64_t n = r.length(self);
  const auto place = [&](const Value& v, int64_t otherwise) {
    if (!given(v)) return otherwise;
    const int64_t i = integer_of(r, v);
    return std::min(i < 0 ? std::max<int64_t>(i + n, 0) : i, n);
  };
  const std::vector<Value> items = r.collect(self);
  const int64_t end = place(a[2], n);
  for (int64_t i = place(a[1], 0); i < end; ++i) {
    if (r.equal(items[static_cast<size_t>(i)], a[0])) return Value(i);
  }
  r.error("{} is not in {}", r.repr(a[0]), type_name(self));
}

constexpr Method kDictMethods[] = {{"get", dict_get},
                                   {"keys", dict_view<ViewObject::Part::keys>},
                                   {"values", dict_view<ViewObject::Part::values>},
                                   {"items", dict_view<ViewObject::Part::items>},
                                   {"copy", copied},
                                   {"fromkeys", dict_fromkeys}};
constexpr Method kListMethods[] = {{"count", sequence_count}, {"index", sequence_index}, {"copy", copied}};
constexpr Method kTupleMethods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};

Value bit_length(Render& r, const Value& self, Args& args) {
  positional(r, args, "bit_length", nullptr, 0, 0);
  uint64_t n = self.integer() < 0 ? 0 - static_cast<uint64_t>(self.integer()) : static_cast<uint64_t>(self.integer());
  int64_t bits = 0;
  for (; n; n >>= 1) ++bits;
  return Value(bits);
}
Value bit_count(Render& r, const Value& self, Args& args) {
  positional(r, args, "bit_count", nullptr, 0, 0);
  const uint64_t n = self.integer() < 0 ? 0 - static_cast<uint64_t>(self.integer()) : static_cast<uint64_t>(self.integer());
  return Value(static_cast<int64_t>(__builtin_popcountll(n)));
}
Value is_integer(Render& r, const Value& self, Args& args) {
  positional(r, args, "is_integer", nullptr, 0, 0);
  return Value(std::isfinite(self.floating()) && std::floor(self.floating()) == self.floating());
}
Value conjugate(Render& r, const Value& self, Args& args) {
  positional(r, args, "conjugate", nullptr, 0, 0);
  return self.is(Kind::boolean) ? Value(self.integer()) : self;
}

// ---- loops, cyclers

Value loop_cycle(Render& r, const Value& self, Args& args) {
  if (args.positional.empty()) r.error("no items for cycling given");
  return args.positional[static_cast<size_t>(self.as<LoopObject>().index0) % args.positional.size()];
}

Value loop_changed(Render& r, const Value& self, Args& args) {
  auto& loop = self.as<LoopObject>();
  const Value now = r.tuple(std::move(args.positional));
  if (!loop.last_changed.is_missing() && r.equal(loop.last_changed, now)) return Value(false);
  loop.last_changed = now;
  return Value(true);
}

Value cycler_next(Render& r, const Value& self, Args& args) {
  positional(r, args, "next", nullptr, 0, 0);
  auto& c = self.as<CyclerObject>();
  const Value v = c.items[c.position];
  c.position = (c.position + 1) % c.items.size();
  return v;
}
Value cycler_reset(Render& r, const Value& self, Args& args) {
  positional(r, args, "reset", nullptr, 0, 0);
  self.as<CyclerObject>().position = 0;
  return Value::none();
}

Value loop_attribute(Render& r, LoopObject& loop, const Value& self, std::string_view name) {
  if (name == "index") return Value(loop.index0 + 1);
  if (name == "index0") return Value(loop.index0);
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(!loop.peek(r));
  if (name == "length") return Value(loop.length(r));
  if (name == "revindex") return Value(loop.length(r) - loop.index0);
  if (name == "revindex0") return Value(loop.length(r) - loop.index0 - 1);
  if (name == "depth") return Value(loop.depth0 + 1);
  if (name == "depth0") return Value(loop.depth0);
  if (name == "previtem") return loop.index0 == 0 ? r.undefined("there is no previous item") : loop.before;
  if (name == "nextitem") return loop.peek(r) ? loop.after : r.undefined("there is no next item");
  if (name == "cycle") return r.function("cycle", loop_cycle, self);
  if (name == "changed") return r.function("changed", loop_changed, self);
  return {};
}

Value macro_attribute(Render& r, const Stmt& s, std::string_view name) {
  if (name == "name") return r.string(s.text);
  if (name == "catch_kwargs") return Value(s.uses_kwargs);
  if (name == "catch_varargs") return Value(s.uses_varargs);
  if (name == "caller") return Value(s.uses_caller);
  if (name != "arguments") return {};
  std::vector<Value> names;
  for (const Parameter& p : s.parameters) names.push_back(r.string(p.name));
  return r.tuple(std::move(names));
}

Value number_attribute(Render& r, const Value& of, std::string_view name) {
  const bool is_float = of.is(Kind::floating);
  if (name == "real") return is_float ? of : Value(of.integer());
  if (name == "imag") return is_float ? Value(0.0) : Value(int64_t{0});
  if (name == "conjugate") return r.function("conjugate", conjugate, of);
  if (is_float) return name == "is_integer" ? r.function("is_integer", is_integer, of) : Value();
  if (name == "numerator") return Value(of.integer());
  if (name == "denominator") return Value(int64_t{1});
  if (name == "bit_length") return r.function("bit_length", bit_length, of);
  if (name == "bit_count") return r.function("bit_count", bit_count, of);
  return {};
}

template <size_t n>
Value find_method(Render& r, const Method (&table)[n], const Value& of, std::string_view name) {
  for (const Method& m : table) {
    if (m.name == name) return r.function(m.name.data(), m.call, of);
  }
  return {};
}

template <size_t n>
Value unsafe(Render& r, const std::string_view (&table)[n], const Value& of, std::string_view name) {
  if (std::find(std::begin(table), std::end(table), name) == std::end(table)) return {};
  return r.undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(of)));
}

}  // namespace

Value Render::find_attribute(const Value& of, std::string_view name) {
  switch (of.kind()) {
    case Kind::string: {
      const Method* m = find_text_method(name);
      return m ? function(m->name.data(), m->call, of) : Value();
    }
    case Kind::dict: {
      Value v = find_method(*this, kDictMethods, of, name);
      return v.is_missing() ? unsafe(*this, kDictChanges, of, name) : v;
    }
    case Kind::list: {
      Value v = find_method(*this, kListMethods, of, name);
      return v.is_missing() ? unsafe(*this, kListChanges, of, name) : v;
    }
    case Kind::tuple: {
      const auto& fields = of.sequence().fields;
      for (size_t i = 0; i < fields.size(); ++i) {
        if (fields[i] == name) return of.sequence().items[i];
      }
      return find_method(*this, kTupleMethods, of, name);
    }
    case Kind::boolean:
    case Kind::integer:
    case Kind::floating:
      return number_attribute(*this, of, name);
    case Kind::range: {
      const auto& range = of.as<RangeObject>();
      if (name == "start") return Value(range.start);
      if (name == "stop") return Value(range.stop);
      if (name == "step") return Value(range.step);
      return find_method(*this, kTupleMethods, of, name);
    }
    case Kind::name_space:
      for (const auto& [known, value] : of.as<NamespaceObject>().entries) {
        step();
        if (known == name) return value;
      }
      return {};
    case Kind::loop:
      return loop_attribute(*this, of.as<LoopObject>(), of, name);
    case Kind::macro:
      return macro_attribute(*this, *of.as<MacroObject>().stmt, name);
    case Kind::cycler:
      if (name == "next") return function("next", cycler_next, of);
      if (name == "reset") return function("reset", cycler_reset, of);
      if (name == "current") return of.as<CyclerObject>().items[of.as<CyclerObject>().position];
      if (name == "pos") return Value(static_cast<int64_t>(of.as<CyclerObject>().position));
      if (name == "items") return tuple(of.as<CyclerObject>().items);
      return {};
    case Kind::joiner:
      if (name == "sep") return of.as<JoinerObject>().separator;
      if (name == "used") return Value(of.as<JoinerObject>().used);
      return {};
    case Kind::block: {
      if (of.as<BlockObject>().stmt) return {};
      const auto found = tree_.blocks.find(std::string(name));
      return found == tree_.blocks.end() ? Value() : Value(Kind::block, heap_.make<BlockObject>(0, found->second));
    }
    case Kind::function: {  // dict.fromkeys
      const auto& f = of.as<FunctionObject>();
      if (std::string_view(f.name) == "dict" && name == "fromkeys") return function("fromkeys", dict_fromkeys);
      return {};
    }
    default:
      return {};
  }
}

}  // namespace phial::tmpl
