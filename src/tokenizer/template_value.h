// Values of a chat template: Python's data as templates can see it, nothing more. There is no object model behind them:
// an attribute is an entry of an allow-list (template_methods.cpp), a dict key, or undefined.
// All objects belong to the Heap of one render, which counts their bytes (BUDGET) and frees cycles at its end. Objects die
// through a work list, so long chains of references do not use the stack.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace phial::tmpl {

class Heap;
class Render;
struct Stmt;

enum class Kind : uint8_t {
  missing,  // no value at all: an unset variable; never seen by templates
  undefined,
  none,
  boolean,
  integer,
  floating,
  string,
  list,
  tuple,
  dict,
  range,
  view,
  iterator,
  name_space,
  macro,
  function,
  loop,
  cycler,
  joiner,
  block
};

struct Object {
  explicit Object(Heap& heap) : heap(heap) {}
  virtual ~Object() = default;
  virtual void clear() {}  // drops the references to other objects
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Heap& heap;
  Object *previous = nullptr, *next = nullptr;  // all objects of the heap
  size_t bytes = 0;
  uint32_t references = 0;
};

/// Counts bytes of objects and text; throws BUDGET above the limit.
class Heap {
 public:
  explicit Heap(uint64_t max_bytes) : max_bytes_(max_bytes) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// Takes an object that holds `payload` bytes beside itself.
  template <typename T, typename... Args>
  T* make(size_t payload, Args&&... args) {
    charge(sizeof(T) + payload);
    T* object = nullptr;
    try {
      object = new T(*this, std::forward<Args>(args)...);
    } catch (...) {
      release(sizeof(T) + payload);
      throw;
    }
    object->bytes = sizeof(T) + payload;
    adopt(object);
    return object;
  }
  void charge(size_t bytes);
  void check(size_t bytes) const;  // would charge() throw?
  void release(size_t bytes) { used_ -= bytes; }
  void grow(Object& object, size_t bytes) {
    charge(bytes);
    object.bytes += bytes;
  }
  void bury(Object* object);

 private:
  void adopt(Object* object);
  void destroy(Object* object);

  uint64_t max_bytes_, used_ = 0;
  Object* first_ = nullptr;
  Object* graveyard_ = nullptr;
  bool digging_ = false;
};

struct StringObject;
struct SequenceObject;
struct DictObject;

/// 16 bytes: a kind and a number or a counted reference.
class Value {
 public:
  Value() = default;
  explicit Value(bool b) : kind_(Kind::boolean) { u_.i = b; }
  explicit Value(int64_t i) : kind_(Kind::integer) { u_.i = i; }
  explicit Value(double d) : kind_(Kind::floating) { u_.d = d; }
  Value(Kind kind, Object* object) : kind_(kind) {
    u_.o = object;
    ++object->references;
  }
  static Value none() {
    Value v;
    v.kind_ = Kind::none;
    return v;
  }
  Value(const Value& other) : kind_(other.kind_), u_(other.u_) {
    if (is_object()) ++u_.o->references;
  }
  Value(Value&& other) noexcept : kind_(other.kind_), u_(other.u_) { other.kind_ = Kind::missing; }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(u_, other.u_);
    return *this;
  }
  ~Value() {
    if (is_object() && --u_.o->references == 0) u_.o->heap.bury(u_.o);
  }

  Kind kind() const { return kind_; }
  /// A collection with its items at hand, or undefined, which is an empty one.
  bool is_collection() const {
    return kind_ == Kind::undefined || kind_ == Kind::string || kind_ == Kind::list || kind_ == Kind::tuple ||
           kind_ == Kind::dict || kind_ == Kind::range;
  }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::missing; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }  // Python: bool is an int
  bool is_number() const { return is_integral() || kind_ == Kind::floating; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }
  bool is_object() const { return kind_ >= Kind::string || kind_ == Kind::undefined; }

  bool boolean() const { return u_.i != 0; }
  int64_t integer() const { return u_.i; }
  double floating() const { return u_.d; }
  double as_double() const { return kind_ == Kind::floating ? u_.d : static_cast<double>(u_.i); }
  Object* object() const { return u_.o; }
  template <typename T>
  T& as() const {
    return *static_cast<T*>(u_.o);
  }
  inline StringObject& string() const;
  inline const std::string& text() const;
  inline SequenceObject& sequence() const;
  inline DictObject& dict() const;

 private:
  Kind kind_ = Kind::missing;
  union {
    int64_t i;
    double d;
    Object* o;
  } u_ = {0};
};

struct UndefinedObject : Object {
  UndefinedObject(Heap& heap, std::string message) : Object(heap), message(std::move(message)) {}
  std::string message;  // what an error says when the value is used
};

struct StringObject : Object {
  StringObject(Heap& heap, std::string text, bool markup) : Object(heap), text(std::move(text)), markup(markup) {}
  std::string text;      // UTF-8
  bool markup;           // safe for HTML: escaping leaves it alone
  int64_t n_chars = -1;  // code points, counted when asked for
};

struct SequenceObject : Object {  // list and tuple; never changes once built
  explicit SequenceObject(Heap& heap) : Object(heap) {}
  void clear() override { items.clear(); }
  std::vector<Value> items;
  std::vector<std::string> fields;  // names of a named tuple (groupby): attributes
};

struct DictObject : Object {  // insertion order; never changes once built
  explicit DictObject(Heap& heap) : Object(heap) {}
  void clear() override {
    entries.clear();
    index.clear();
  }
  std::vector<std::pair<Value, Value>> entries;
  std::unordered_multimap<size_t, size_t> index;  // hash of the key -> entry; only for larger dicts
};

struct RangeObject : Object {
  RangeObject(Heap& heap, int64_t start, int64_t step, int64_t length, int64_t stop)
      : Object(heap), start(start), step(step), length(length), stop(stop) {}
  int64_t start, step, length, stop;
};

struct ViewObject : Object {  // dict.keys(), dict.values(), dict.items()
  enum class Part { keys, values, items };
  ViewObject(Heap& heap, Value dict, Part part) : Object(heap), dict(std::move(dict)), part(part) {}
  void clear() override { dict = Value(); }
  Value dict;
  Part part;
};

/// Anything that gives one value after the other, once: Python's iterators and generators.
struct IteratorObject : Object {
  explicit IteratorObject(Heap& heap, const char* type_name) : Object(heap), type_name(type_name) {}
  virtual bool next(Render& render, Value& out) = 0;  // false at the end
  const char* type_name;
};

struct NamespaceObject : Object {
  explicit NamespaceObject(Heap& heap) : Object(heap) {}
  void clear() override { entries.clear(); }
  std::vector<std::pair<std::string, Value>> entries;
};

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

using Function = Value (*)(Render& render, const Value& self, Args& args);

struct FunctionObject : Object {  // a builtin function, or a method bound to its value
  FunctionObject(Heap& heap, const char* name, Function call, Value self)
      : Object(heap), name(name), call(call), self(std::move(self)) {}
  void clear() override { self = Value(); }
  const char* name;
  Function call;
  Value self;
};

struct FrameObject : Object {  // the variables of one run of the template, a macro, a block or a recursive loop
  FrameObject(Heap& heap, size_t n, FrameObject* parent) : Object(heap), slots(n), parent(parent) {
    if (parent) ++parent->references;
  }
  ~FrameObject() override { drop_parent(); }
  void clear() override {
    for (Value& v : slots) v = Value();
    drop_parent();
  }
  void drop_parent() {
    if (parent && --parent->references == 0) parent->heap.bury(parent);
    parent = nullptr;
  }
  std::vector<Value> slots;
  FrameObject* parent;
};

struct MacroObject : Object {
  MacroObject(Heap& heap, const Stmt* stmt, FrameObject* frame) : Object(heap), stmt(stmt), frame(frame) { ++frame->references; }
  ~MacroObject() override { clear(); }
  void clear() override {
    if (frame && --frame->references == 0) frame->heap.bury(frame);
    frame = nullptr;
  }
  const Stmt* stmt;
  FrameObject* frame;
};

struct LoopObject : Object {
  explicit LoopObject(Heap& heap) : Object(heap) {}
  void clear() override {
    iterable = after = current = before = last_changed = iterator = Value();
    recursive = nullptr;
    if (frame && --frame->references == 0) frame->heap.bury(frame);
    frame = nullptr;
  }
  ~LoopObject() override { clear(); }
  bool advance(Render& render, Value& out);
  bool peek(Render& render);  // false at the end
  int64_t length(Render& render);

  Value iterable, iterator, after, current, before, last_changed;
  int64_t index0 = -1, known_length = -1, depth0 = 0;
  const Stmt* recursive = nullptr;  // the loop to run again for loop(...)
  FrameObject* frame = nullptr;     // the frame around a recursive loop
};

struct CyclerObject : Object {
  explicit CyclerObject(Heap& heap) : Object(heap) {}
  void clear() override { items.clear(); }
  std::vector<Value> items;
  size_t position = 0;
};

struct JoinerObject : Object {
  JoinerObject(Heap& heap, Value separator) : Object(heap), separator(std::move(separator)) {}
  void clear() override { separator = Value(); }
  Value separator;
  bool used = false;
};

struct BlockObject : Object {  // `self` (no statement) and `self.name`
  BlockObject(Heap& heap, const Stmt* stmt) : Object(heap), stmt(stmt) {}
  const Stmt* stmt;
};

inline StringObject& Value::string() const { return as<StringObject>(); }
inline const std::string& Value::text() const { return as<StringObject>().text; }
inline SequenceObject& Value::sequence() const { return as<SequenceObject>(); }
inline DictObject& Value::dict() const { return as<DictObject>(); }

}  // namespace phial::tmpl
