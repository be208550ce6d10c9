// One render of a chat template: the interpreter's state, its budgets, and Python's operations on values.
// Every loop and every byte of work counts as steps; recursion is bounded by a depth and by the stack it uses, so that a
// render is safe on a stack of 256 KiB.
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fail.h"
#include "base/json.h"
#include "phial/chat_template.h"
#include "tokenizer/template_ast.h"
#include "tokenizer/template_builtins.h"
#include "tokenizer/template_value.h"

namespace phial::tmpl {

class Render {
 public:
  Render(const Tree& tree, const TemplateBudget& budget);
  std::string run(const OrderedJson& variables);

  // Budgets.
  void step(uint64_t n = 1) {
    steps_ += n;
    if (steps_ >= next_check_) check_budget();
  }
  void work(size_t bytes) { step(1 + bytes / 64); }
  void check_stack() const;
  /// One more level of macros, recursive loops, nested values or chained iterators.
  struct Deeper {
    explicit Deeper(Render& render);
    ~Deeper() { --render.depth_; }
    Render& render;
  };
  template <typename... A>
  [[noreturn]] void error(fmt::format_string<A...> text, A&&... args) const {
    fail(ErrorCode::template_, "{} (template line {})", fmt::format(text, std::forward<A>(args)...), line_);
  }
  [[noreturn]] void undefined_error(const Value& undefined) const { error("{}", undefined.as<UndefinedObject>().message); }
  [[noreturn]] void type_error(std::string_view what, const Value& value) const;

  // Making values.
  Heap& heap() { return heap_; }
  Value string(std::string text, bool markup = false);
  Value integer(int64_t i) { return Value(i); }
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  Value sequence(Kind kind, std::vector<Value> items);
  Value undefined(std::string message);
  Value function(const char* name, Function call, Value self = {});
  Value dict();
  void dict_set(const Value& dict, Value key, Value value);
  const Value* dict_find(const DictObject& dict, const Value& key);
  const Value* dict_find(const DictObject& dict, std::string_view key);
  template <typename T, typename... A>
  Value iterator(A&&... args) {
    return Value(Kind::iterator, heap_.make<T>(0, std::forward<A>(args)...));
  }

  // Python's operations (template_operators.cpp).
  bool truth(const Value& v);
  bool equal(const Value& a, const Value& b);
  bool less(const Value& a, const Value& b);
  bool compare(Comparison op, const Value& a, const Value& b);
  bool contains(const Value& container, const Value& item);
  size_t hash(const Value& v);
  Value binary(ExprKind op, const Value& a, const Value& b);
  Value negate(const Value& v, bool minus);
  Value attribute(const Value& of, std::string_view name);  // of.name
  Value item(const Value& of, const Value& index);          // of[index]
  Value slice(const Value& of, const Value& start, const Value& stop, const Value& step);
  Value find_attribute(const Value& of, std::string_view name);  // allow-list only; missing when there is none
  int64_t length(const Value& v);
  std::optional<int64_t> try_length(const Value& v);
  Value iterate(const Value& v);  // iter(v)
  bool next(const Value& iterator, Value& out);
  std::vector<Value> collect(const Value& v);  // list(v)
  bool is_iterable(const Value& v) const;
  std::vector<Value> sorted(std::vector<Value> values, const std::vector<Value>* keys, bool reverse);

  // Text (template_text.cpp).
  std::string text(const Value& v);  // str(v)
  std::string repr(const Value& v);
  std::string escaped(const Value& v);  // for HTML, unless v is markup already
  bool is_markup(const Value& v) const { return v.is_string() && v.string().markup; }
  int64_t n_chars(const Value& string);

  // Calling.
  Value call(const Value& callee, Args& args);
  Value call_macro(const MacroObject& macro, Args& args);
  Value run_block(const Stmt& block, const std::vector<std::pair<std::string, Variable>>* visible, FrameObject* frame);
  Value run_recursive(const Stmt& loop, FrameObject* frame, const Value& iterable, int64_t depth0);
  Value apply_filter(std::string_view name, const Value& input, Args& args);
  bool apply_test(std::string_view name, const Value& input, Args& args);

  // Statements and expressions.
  enum class Flow { normal, stop_loop, next_item };
  Flow execute(const Body& body, FrameObject* frame);
  Value eval(const Expr& e, FrameObject* frame);
  void assign(const Expr& target, Value value, FrameObject* frame);
  void enter(const Scope& scope, FrameObject* frame);
  void leave(const Scope& scope, FrameObject* frame);
  FrameObject* make_frame(int n_slots, FrameObject* parent);

  bool autoescape() const { return autoescape_; }
  /// The time strftime_now tells: seconds and microseconds since 1970 as the local clock shows them.
  struct Time {
    int64_t seconds = 0;
    int microseconds = 0;
  };
  Time now() const;
  uint64_t next_random() { return random_ = random_ * 6364136223846793005ull + 1442695040888963407ull; }

 private:
  void check_budget();
  Value from_json(const OrderedJson& json);
  Value resolve(const std::string& name);
  void write(std::string_view text);
  void print(const Value& v);
  std::string end_capture(std::string&& outer);
  Flow execute_one(const Stmt& s, FrameObject* frame);
  Flow execute_for(const Stmt& s, FrameObject* frame);
  void run_loop(const Stmt& s, FrameObject* outer, FrameObject* frame, const Value& iterable, int64_t depth0, Flow& flow);
  void execute_set_block(const Stmt& s, FrameObject* frame);
  void execute_filter_block(const Stmt& s, FrameObject* frame);
  void execute_with(const Stmt& s, FrameObject* frame);
  void execute_autoescape(const Stmt& s, FrameObject* frame);
  void export_names(const Stmt& s, FrameObject* frame);
  Value filter_chain(const Expr& filter, const Value& input, FrameObject* frame);
  void eval_args(const CallArgs* exprs, Args& args, FrameObject* frame);
  Value eval_name(const Expr& e, FrameObject* frame);
  Value eval_string(const Expr& e);
  Value eval_sequence(const Expr& e, FrameObject* frame);
  Value eval_dict(const Expr& e, FrameObject* frame);
  Value eval_binary(const Expr& e, FrameObject* frame);
  Value eval_concat(const Expr& e, FrameObject* frame);
  Value eval_compare(const Expr& e, FrameObject* frame);
  Value eval_item(const Expr& e, FrameObject* frame);
  Value eval_call(const Expr& e, FrameObject* frame);
  Value eval_filter(const Expr& e, FrameObject* frame);
  Value eval_test(const Expr& e, FrameObject* frame);
  static Value& slot(const Variable& v, FrameObject* frame) {
    for (int i = 0; i < v.hops; ++i) frame = frame->parent;
    return frame->slots[static_cast<size_t>(v.slot)];
  }

  Heap heap_;  // first: everything below may refer to it
  const Tree& tree_;
  TemplateBudget budget_;
  std::chrono::steady_clock::time_point start_;
  const char* stack_base_ = nullptr;
  uint64_t steps_ = 0, next_check_ = 0;
  int depth_ = 0;
  int line_ = 1;
  bool autoescape_ = false;
  uint64_t random_ = 1;
  std::optional<Time> fixed_time_;
  std::string out_;
  std::vector<const Object*> shown_;  // containers around the one that repr() is at: cycles end there
  std::vector<Value> constants_;
  std::vector<std::pair<std::string, Value>> globals_;
  std::unordered_map<std::string, Value> context_;                   // the render's variables
  std::unordered_map<std::string, Value> exported_;                  // what the top level has set, for blocks
  const std::unordered_map<std::string, Value>* visible_ = nullptr;  // of a scoped block

  friend struct CaptureGuard;
};

/// Matches call arguments with the parameters of a builtin; absent ones stay missing. Throws TEMPLATE as a call in Python would.
void bind_args(Render& render, Args& args, const char* function, std::initializer_list<const char*> names, Value* out,
               size_t required = 0);

std::string float_repr(double value);
std::string string_repr(std::string_view text);
std::string escape_html(std::string_view text);
std::string_view type_name(const Value& v);
/// json.dumps with its defaults, ensure_ascii off unless asked.
Value to_json(Render& render, const Value& input, Args& args);
std::string strftime(Render& render, std::string_view format);
/// text % values, and text.format(args).
std::string percent_format(Render& render, const Value& format, const Value& values);
std::string brace_format(Render& render, const Value& format, Args& args);
/// format(value, spec)
std::string format_value(Render& render, const Value& v, std::string_view spec);

int64_t checked_add(Render& render, int64_t a, int64_t b);
int64_t checked_multiply(Render& render, int64_t a, int64_t b);

}  // namespace phial::tmpl
