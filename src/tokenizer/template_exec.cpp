// Statements of a chat template, calls of macros, blocks and recursive loops.
#include "tokenizer/template_render.h"

namespace phial::tmpl {

/// Sends output into a text of its own while it lives.
struct CaptureGuard {
  explicit CaptureGuard(Render& render) : render(render) { outer.swap(render.out_); }
  ~CaptureGuard() {
    if (taken) return;
    render.heap_.release(render.out_.size());
    render.out_.swap(outer);
  }
  std::string take() {
    taken = true;
    std::string text;
    text.swap(render.out_);
    render.heap_.release(text.size());
    render.out_.swap(outer);
    return text;
  }
  Render& render;
  std::string outer;
  bool taken = false;
};

namespace {

struct AutoescapeGuard {
  AutoescapeGuard(bool& flag, bool value) : flag(flag), before(flag) { flag = value; }
  ~AutoescapeGuard() { flag = before; }
  bool& flag;
  bool before;
};

/// Keeps an object alive while C++ code holds a plain pointer to it.
template <typename T>
class Held {
 public:
  explicit Held(T* object) : object_(object) { ++object->references; }
  ~Held() {
    if (--object_->references == 0) object_->heap.bury(object_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  T* get() const { return object_; }

 private:
  T* object_;
};

/// The values of a loop that pass its `if`, tested one by one as they are asked for.
struct LoopFilter : IteratorObject {
  LoopFilter(Heap& heap, const Stmt& s, Value source, FrameObject* outer)
      : IteratorObject(heap, "generator"), s(s), source(std::move(source)), outer(outer) {
    ++outer->references;
  }
  ~LoopFilter() override { LoopFilter::clear(); }
  void clear() override {
    source = Value();
    for (FrameObject** f : {&outer, &frame}) {
      if (*f && --(*f)->references == 0) heap.bury(*f);
      *f = nullptr;
    }
  }
  bool next(Render& render, Value& out) override {
    const Render::Deeper deeper(render);
    if (!outer) return false;
    if (!frame) {
      frame = render.make_frame(s.test_slots, outer);
      ++frame->references;
      render.enter(s.test_scope, frame);
    }
    while (render.next(source, out)) {
      render.assign(*s.targets[0], out, frame);
      if (render.truth(render.eval(*s.test, frame))) return true;
    }
    return false;
  }
  const Stmt& s;
  Value source;
  FrameObject* outer;
  FrameObject* frame = nullptr;
};

}  // namespace

FrameObject* Render::make_frame(int n_slots, FrameObject* parent) {
  const auto n = static_cast<size_t>(n_slots);
  return heap_.make<FrameObject>(n * sizeof(Value), n, parent);
}

void Render::enter(const Scope& scope, FrameObject* frame) {
  for (const SlotStart& start : scope.start) {
    Value& to = frame->slots[static_cast<size_t>(start.slot)];
    switch (start.from) {
      case SlotStart::From::nothing:
        to = Value();
        break;
      case SlotStart::From::context:
        to = resolve(start.name);
        break;
      case SlotStart::From::other:
        to = slot(start.other, frame);
        break;
    }
  }
}

void Render::leave(const Scope& scope, FrameObject* frame) {
  for (const int slot : scope.slots) frame->slots[static_cast<size_t>(slot)] = Value();
}

void Render::write(std::string_view text) {
  heap_.charge(text.size());
  out_ += text;
}

void Render::print(const Value& v) {
  if (v.is_string() && (!autoescape_ || v.string().markup)) {
    work(v.text().size());
    write(v.text());
  } else {
    write(autoescape_ ? escaped(v) : text(v));
  }
}

Render::Flow Render::execute(const Body& body, FrameObject* frame) {
  for (const StmtPtr& s : body) {
    const Flow flow = execute_one(*s, frame);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Render::Flow Render::execute_one(const Stmt& s, FrameObject* frame) {
  step();
  check_stack();
  line_ = s.line;
  switch (s.kind) {
    case StmtKind::data:
      work(s.text.size());
      write(s.text);
      break;
    case StmtKind::print:
      print(eval(*s.expr, frame));
      break;
    case StmtKind::if_:
      for (const Branch& b : s.branches) {
        if (!b.test || truth(eval(*b.test, frame))) return execute(b.body, frame);
      }
      break;
    case StmtKind::for_:
      return execute_for(s, frame);
    case StmtKind::set:
      assign(*s.target, eval(*s.expr, frame), frame);
      export_names(s, frame);
      break;
    case StmtKind::set_block:
      execute_set_block(s, frame);
      break;
    case StmtKind::macro:
      slot(s.variable, frame) = Value(Kind::macro, heap_.make<MacroObject>(0, &s, frame));
      export_names(s, frame);
      break;
    case StmtKind::call_block: {
      const Value callee = eval(*s.expr->items[0], frame);
      Args args;
      eval_args(s.expr->args.get(), args, frame);
      args.named.emplace_back("caller", Value(Kind::macro, heap_.make<MacroObject>(0, &s, frame)));
      line_ = s.line;
      print(call(callee, args));
      break;
    }
    case StmtKind::generation: {
      Args none;
      const Value body(Kind::macro, heap_.make<MacroObject>(0, &s, frame));
      print(call_macro(body.as<MacroObject>(), none));
      break;
    }
    case StmtKind::filter_block:
      execute_filter_block(s, frame);
      break;
    case StmtKind::with:
      execute_with(s, frame);
      break;
    case StmtKind::block: {
      if (s.required) error("required block '{}' not found", s.text);
      const Value rendered = run_block(s, s.scoped ? &s.visible : nullptr, frame);
      write(rendered.text());
      break;
    }
    case StmtKind::scope:
      if (!s.expr) return execute(s.body, frame);
      execute_autoescape(s, frame);
      break;
    case StmtKind::break_:
      return Flow::stop_loop;
    case StmtKind::continue_:
      return Flow::next_item;
    case StmtKind::load:
      error("{{% {} %}}: a chat template has no other templates to load", s.text);
  }
  return Flow::normal;
}

void Render::export_names(const Stmt& s, FrameObject* frame) {
  for (const auto& [name, variable] : s.exports) exported_[name] = slot(variable, frame);
}

void Render::assign(const Expr& target, Value value, FrameObject* frame) {
  if (target.kind == ExprKind::name) {
    slot(target.variable, frame) = std::move(value);
    return;
  }
  if (target.kind == ExprKind::member) {
    const Value& to = slot(target.items[0]->variable, frame);
    if (!to.is(Kind::name_space)) error("cannot assign attribute on non-namespace object");
    if (!target.text.empty() && target.text[0] == '_') {
      error("chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'", target.text);
    }
    auto& object = to.as<NamespaceObject>();
    for (auto& [name, old] : object.entries) {
      step();
      if (name != target.text) continue;
      old = std::move(value);
      return;
    }
    heap_.grow(object, sizeof(object.entries[0]) + target.text.size());
    object.entries.emplace_back(target.text, std::move(value));
    return;
  }
  // Unpacking. Namespaces among the targets are checked before anything is assigned.
  for (const ExprPtr& t : target.items) {
    if (t->kind == ExprKind::member && !slot(t->items[0]->variable, frame).is(Kind::name_space))
      error("cannot assign attribute on non-namespace object");
  }
  const size_t n = target.items.size();
  std::vector<Value> items;
  if (value.is_sequence() || value.is_string() || value.is(Kind::dict) || value.is(Kind::range)) {
    const int64_t have = length(value);
    if (have != static_cast<int64_t>(n)) {
      error("{} values to unpack (expected {}{})", have < static_cast<int64_t>(n) ? "not enough" : "too many", n,
            have < static_cast<int64_t>(n) ? fmt::format(", got {}", have) : "");
    }
    items = collect(value);
  } else {
    if (!is_iterable(value)) error("cannot unpack non-iterable {} object", type_name(value));
    const Value source = iterate(value);
    Value next_value;
    while (items.size() < n && next(source, next_value)) items.push_back(next_value);
    if (items.size() < n) error("not enough values to unpack (expected {}, got {})", n, items.size());
    if (next(source, next_value)) error("too many values to unpack (expected {})", n);
  }
  for (size_t i = 0; i < n; ++i) assign(*target.items[i], std::move(items[i]), frame);
}

Render::Flow Render::execute_for(const Stmt& s, FrameObject* frame) {
  const Value iterable = eval(*s.expr, frame);
  line_ = s.line;
  if (s.recursive) {
    write(run_recursive(s, frame, iterable, 0).text());
    return Flow::normal;
  }
  Flow flow = Flow::normal;
  run_loop(s, frame, frame, iterable, 0, flow);
  return flow;
}

void Render::run_loop(const Stmt& s, FrameObject* outer, FrameObject* frame, const Value& iterable, int64_t depth0, Flow& flow) {
  const Deeper deeper(*this);
  Value source = iterable;
  if (s.test) source = iterator<LoopFilter>(s, iterate(iterable), frame);
  Value loop;
  if (s.uses_loop) {
    auto* object = heap_.make<LoopObject>(0);
    loop = Value(Kind::loop, object);
    object->iterable = source;
    object->iterator = iterate(source);
    object->depth0 = depth0;
    if (s.recursive) {
      object->recursive = &s;
      object->frame = outer;
      ++outer->references;
    }
  } else {
    source = iterate(source);
  }
  bool completed_one = false;  // an iteration that ran to its end, which is what Jinja's else looks at
  Value item;
  while (s.uses_loop ? loop.as<LoopObject>().advance(*this, item) : next(source, item)) {
    step();
    assign(*s.target, std::move(item), frame);
    if (s.uses_loop) frame->slots[static_cast<size_t>(s.loop_slot)] = loop;
    enter(s.scope, frame);
    const Flow inner = execute(s.body, frame);
    if (inner == Flow::stop_loop) break;
    if (inner == Flow::normal) completed_one = true;
  }
  leave(s.scope, frame);
  if (completed_one || s.else_body.empty()) return;
  enter(s.else_scope, frame);
  flow = execute(s.else_body, frame);
  leave(s.else_scope, frame);
}

Value Render::run_recursive(const Stmt& s, FrameObject* outer, const Value& iterable, int64_t depth0) {
  const Deeper deeper(*this);
  const Held<FrameObject> frame(make_frame(s.n_slots, outer));
  CaptureGuard capture(*this);
  Flow flow = Flow::normal;
  run_loop(s, outer, frame.get(), iterable, depth0, flow);
  return string(capture.take(), autoescape_);
}

void Render::execute_set_block(const Stmt& s, FrameObject* frame) {
  CaptureGuard capture(*this);
  enter(s.scope, frame);
  execute(s.body, frame);
  Value value = string(capture.take(), autoescape_);
  if (s.expr) value = filter_chain(*s.expr, value, frame);
  if (autoescape_ && value.is_string() && !value.string().markup) value = string(value.text(), true);
  assign(*s.target, std::move(value), frame);
  leave(s.scope, frame);
  export_names(s, frame);
}

void Render::execute_filter_block(const Stmt& s, FrameObject* frame) {
  CaptureGuard capture(*this);
  enter(s.scope, frame);
  execute(s.body, frame);
  const Value text = string(capture.take(), autoescape_);
  print(filter_chain(*s.expr, text, frame));
  leave(s.scope, frame);
}

void Render::execute_with(const Stmt& s, FrameObject* frame) {
  enter(s.scope, frame);
  for (size_t i = 0; i < s.targets.size(); ++i) assign(*s.targets[i], eval(*s.values[i], frame), frame);
  execute(s.body, frame);
  leave(s.scope, frame);
}

void Render::execute_autoescape(const Stmt& s, FrameObject* frame) {
  enter(s.scope, frame);
  const AutoescapeGuard guard(autoescape_, truth(eval(*s.expr, frame)));
  execute(s.body, frame);
  leave(s.scope, frame);
}

Value Render::call(const Value& callee, Args& args) {
  step();
  switch (callee.kind()) {
    case Kind::function: {
      const Value held = callee;
      auto& f = held.as<FunctionObject>();
      return f.call(*this, f.self, args);
    }
    case Kind::macro: {
      const Value held = callee;
      return call_macro(held.as<MacroObject>(), args);
    }
    case Kind::loop: {
      const Value held = callee;
      auto& loop = held.as<LoopObject>();
      if (!loop.recursive) error("the loop must have the 'recursive' marker to be called recursively");
      Value iterable;
      bind_args(*this, args, "loop", {"iterable"}, &iterable, 1);
      return run_recursive(*loop.recursive, loop.frame, iterable, loop.depth0 + 1);
    }
    case Kind::joiner: {
      auto& joiner = callee.as<JoinerObject>();
      bind_args(*this, args, "joiner", {}, nullptr);
      if (joiner.used) return joiner.separator;
      joiner.used = true;
      return string("");
    }
    case Kind::block: {
      const Stmt* block = callee.as<BlockObject>().stmt;
      if (!block) type_error("is not callable", callee);
      return run_block(*block, nullptr, nullptr);
    }
    case Kind::undefined:
      undefined_error(callee);
    default:
      error("'{}' object is not callable", type_name(callee));
  }
}

Value Render::call_macro(const MacroObject& macro, Args& args) {
  const Deeper deeper(*this);
  const Stmt& s = *macro.stmt;
  if (!macro.frame) error("macro '{}' is gone", s.text);
  const Held<FrameObject> held(make_frame(s.n_slots, macro.frame));
  FrameObject* frame = held.get();
  const auto take_named = [&](std::string_view name) {
    Value value;
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first != name) continue;
      value = std::move(args.named[i].second);
      args.named.erase(args.named.begin() + static_cast<ptrdiff_t>(i));
      break;
    }
    return value;
  };
  const size_t n = s.parameters.size();
  for (size_t i = 0; i < n; ++i) {
    Value& to = frame->slots[static_cast<size_t>(s.parameters[i].slot)];
    to = i < args.positional.size() ? args.positional[i] : take_named(s.parameters[i].name);
  }
  if (s.uses_caller && s.caller_slot >= 0) {
    Value caller = take_named("caller");
    if (caller.is_missing() || caller.is_none()) caller = undefined("No caller defined");
    frame->slots[static_cast<size_t>(s.caller_slot)] = std::move(caller);
  }
  if (s.uses_kwargs) {
    const Value rest = dict();
    for (auto& [name, value] : args.named) dict_set(rest, string(name), std::move(value));
    frame->slots[static_cast<size_t>(s.kwargs_slot)] = rest;
  } else if (!args.named.empty()) {
    error("macro '{}' takes no keyword argument '{}'", s.text, printable(args.named[0].first));
  }
  if (s.uses_varargs) {
    std::vector<Value> rest;
    for (size_t i = n; i < args.positional.size(); ++i) rest.push_back(std::move(args.positional[i]));
    frame->slots[static_cast<size_t>(s.varargs_slot)] = tuple(std::move(rest));
  } else if (args.positional.size() > n) {
    error("macro '{}' takes not more than {} argument(s)", s.text, n);
  }
  CaptureGuard capture(*this);
  enter(s.scope, frame);
  for (const Parameter& p : s.parameters) {
    Value& to = frame->slots[static_cast<size_t>(p.slot)];
    if (!to.is_missing()) continue;
    Value value = p.default_value ? eval(*p.default_value, frame) : undefined("parameter '" + p.name + "' was not provided");
    frame->slots[static_cast<size_t>(p.slot)] = std::move(value);
  }
  execute(s.body, frame);
  return string(capture.take(), autoescape_);
}

Value Render::run_block(const Stmt& s, const std::vector<std::pair<std::string, Variable>>* visible, FrameObject* frame) {
  const Deeper deeper(*this);
  std::unordered_map<std::string, Value> seen;
  if (visible) {
    for (const auto& [name, variable] : *visible) {
      if (const Value& v = slot(variable, frame); !v.is_missing()) seen[name] = v;
    }
  }
  struct Restore {
    explicit Restore(const std::unordered_map<std::string, Value>*& place) : place(place), before(place) {}
    ~Restore() { place = before; }
    const std::unordered_map<std::string, Value>*& place;
    const std::unordered_map<std::string, Value>* before;
  } restore(visible_);
  visible_ = visible ? &seen : nullptr;
  const Held<FrameObject> held(make_frame(s.n_slots, nullptr));
  if (s.self_slot >= 0)
    held.get()->slots[static_cast<size_t>(s.self_slot)] = Value(Kind::block, heap_.make<BlockObject>(0, nullptr));
  if (s.super_slot >= 0)
    held.get()->slots[static_cast<size_t>(s.super_slot)] = undefined("there is no parent block called '" + s.text + "'");
  CaptureGuard capture(*this);
  enter(s.scope, held.get());
  execute(s.body, held.get());
  return string(capture.take(), autoescape_);
}

bool LoopObject::advance(Render& render, Value& out) {
  Value value;
  if (!after.is_missing()) {
    value = std::move(after);
    after = Value();
  } else if (!render.next(iterator, value)) {
    return false;
  }
  ++index0;
  before = std::move(current);
  current = value;
  out = std::move(value);
  return true;
}

bool LoopObject::peek(Render& render) {
  if (!after.is_missing()) return true;
  Value value;
  if (!render.next(iterator, value)) return false;
  after = std::move(value);
  return true;
}

int64_t LoopObject::length(Render& render) {
  if (known_length >= 0) return known_length;
  if (const auto n = render.try_length(iterable)) return known_length = *n;
  std::vector<Value> rest = render.collect(iterator);
  known_length = static_cast<int64_t>(rest.size()) + index0 + 1 + (after.is_missing() ? 0 : 1);
  iterator = render.iterate(render.list(std::move(rest)));
  return known_length;
}

}  // namespace phial::tmpl
