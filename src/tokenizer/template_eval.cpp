// Expressions of a chat template.
#include "tokenizer/template_render.h"

namespace phial::tmpl {

Value Render::eval(const Expr& e, FrameObject* frame) {
  step();
  check_stack();
  line_ = e.line;
  switch (e.kind) {
    case ExprKind::none:
      return Value::none();
    case ExprKind::boolean:
      return Value(e.integer != 0);
    case ExprKind::integer:
      return Value(e.integer);
    case ExprKind::floating:
      return Value(e.floating);
    case ExprKind::string:
      return eval_string(e);
    case ExprKind::name:
      return eval_name(e, frame);
    case ExprKind::member:
      break;
    case ExprKind::tuple:
    case ExprKind::list:
      return eval_sequence(e, frame);
    case ExprKind::dict:
      return eval_dict(e, frame);
    case ExprKind::negate:
      return negate(eval(*e.items[0], frame), true);
    case ExprKind::plus:
      return negate(eval(*e.items[0], frame), false);
    case ExprKind::invert:
      return Value(!truth(eval(*e.items[0], frame)));
    case ExprKind::add:
    case ExprKind::subtract:
    case ExprKind::multiply:
    case ExprKind::divide:
    case ExprKind::floor_divide:
    case ExprKind::modulo:
    case ExprKind::power:
      return eval_binary(e, frame);
    case ExprKind::concat:
      return eval_concat(e, frame);
    case ExprKind::both: {
      Value left = eval(*e.items[0], frame);
      return truth(left) ? eval(*e.items[1], frame) : std::move(left);
    }
    case ExprKind::either: {
      Value left = eval(*e.items[0], frame);
      return truth(left) ? std::move(left) : eval(*e.items[1], frame);
    }
    case ExprKind::compare:
      return eval_compare(e, frame);
    case ExprKind::attribute: {
      const Value of = eval(*e.items[0], frame);
      line_ = e.line;
      return attribute(of, e.text);
    }
    case ExprKind::item:
      return eval_item(e, frame);
    case ExprKind::slice:
      break;
    case ExprKind::call:
      return eval_call(e, frame);
    case ExprKind::filter:
      return eval_filter(e, frame);
    case ExprKind::test:
      return eval_test(e, frame);
    case ExprKind::condition:
      if (truth(eval(*e.items[0], frame))) return eval(*e.items[1], frame);
      if (e.items[2]) return eval(*e.items[2], frame);
      line_ = e.line;
      return undefined("the inline if-expression evaluated to false and no else section was defined");
  }
  error("this expression has no value");
}

Value Render::eval_name(const Expr& e, FrameObject* frame) {
  const Value& v = slot(e.variable, frame);
  return v.is_missing() ? undefined("'" + e.text + "' is undefined") : v;
}

Value Render::eval_string(const Expr& e) {
  Value& constant = constants_[static_cast<size_t>(e.integer)];
  if (constant.is_missing()) constant = string(e.text);
  return constant;
}

Value Render::eval_sequence(const Expr& e, FrameObject* frame) {
  std::vector<Value> items;
  items.reserve(e.items.size());
  for (const ExprPtr& item : e.items) items.push_back(eval(*item, frame));
  return sequence(e.kind == ExprKind::list ? Kind::list : Kind::tuple, std::move(items));
}

Value Render::eval_dict(const Expr& e, FrameObject* frame) {
  Value d = dict();
  for (size_t i = 0; i + 1 < e.items.size(); i += 2) {
    Value key = eval(*e.items[i], frame);
    Value value = eval(*e.items[i + 1], frame);
    dict_set(d, std::move(key), std::move(value));
  }
  return d;
}

Value Render::eval_binary(const Expr& e, FrameObject* frame) {
  const Value a = eval(*e.items[0], frame);
  const Value b = eval(*e.items[1], frame);
  line_ = e.line;
  return binary(e.kind, a, b);
}

Value Render::eval_concat(const Expr& e, FrameObject* frame) {
  std::vector<Value> parts;
  parts.reserve(e.items.size());
  bool markup = autoescape_;
  for (const ExprPtr& item : e.items) parts.push_back(eval(*item, frame));
  if (markup) {
    // Under autoescape the parts are joined as markup as soon as one of them is.
    markup = false;
    for (const Value& p : parts) markup |= is_markup(p);
  }
  std::string joined;
  for (const Value& p : parts) {
    const std::string t = markup ? escaped(p) : text(p);
    heap_.check(joined.size() + t.size());
    joined += t;
  }
  work(joined.size());
  return string(std::move(joined), markup);
}

Value Render::eval_compare(const Expr& e, FrameObject* frame) {
  Value left = eval(*e.items[0], frame);
  for (size_t i = 0; i < e.comparisons.size(); ++i) {
    Value right = eval(*e.items[i + 1], frame);
    line_ = e.line;
    if (!compare(e.comparisons[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Render::eval_item(const Expr& e, FrameObject* frame) {
  const Value of = eval(*e.items[0], frame);
  const Expr& index = *e.items[1];
  if (index.kind == ExprKind::slice) {
    Value parts[3] = {Value::none(), Value::none(), Value::none()};
    for (size_t i = 0; i < 3; ++i) {
      if (index.items[i]) parts[i] = eval(*index.items[i], frame);
    }
    line_ = e.line;
    return slice(of, parts[0], parts[1], parts[2]);
  }
  const Value at = eval(index, frame);
  line_ = e.line;
  return item(of, at);
}

void Render::eval_args(const CallArgs* exprs, Args& args, FrameObject* frame) {
  if (!exprs) return;
  for (const ExprPtr& a : exprs->positional) args.positional.push_back(eval(*a, frame));
  if (exprs->star) {
    for (Value& v : collect(eval(*exprs->star, frame))) args.positional.push_back(std::move(v));
  }
  for (const auto& [name, a] : exprs->named) args.named.emplace_back(name, eval(*a, frame));
  if (!exprs->double_star) return;
  const Value more = eval(*exprs->double_star, frame);
  if (more.is_undefined()) undefined_error(more);
  if (!more.is(Kind::dict)) error("argument after ** must be a mapping, not {}", type_name(more));
  for (const auto& [key, value] : more.dict().entries) {
    if (!key.is_string()) error("keywords must be strings");
    for (const auto& [name, other] : args.named) {
      if (name == key.text()) error("got multiple values for keyword argument '{}'", printable(name));
    }
    args.named.emplace_back(key.text(), value);
  }
}

Value Render::eval_call(const Expr& e, FrameObject* frame) {
  const Value callee = eval(*e.items[0], frame);
  Args args;
  eval_args(e.args.get(), args, frame);
  line_ = e.line;
  return call(callee, args);
}

Value Render::eval_filter(const Expr& e, FrameObject* frame) { return filter_chain(e, Value(), frame); }

/// `input` stands in for the innermost operand of a filter block's chain.
Value Render::filter_chain(const Expr& e, const Value& input, FrameObject* frame) {
  check_stack();
  Value operand;
  if (e.items.empty() || !e.items[0]) {
    operand = input;
  } else if (e.items[0]->kind == ExprKind::filter && !input.is_missing()) {
    operand = filter_chain(*e.items[0], input, frame);
  } else {
    operand = eval(*e.items[0], frame);
  }
  line_ = e.line;
  if (!e.filter) error("no filter named '{}' found", printable(e.text));
  Args args;
  eval_args(e.args.get(), args, frame);
  line_ = e.line;
  step();
  return e.filter->call(*this, operand, args);
}

Value Render::eval_test(const Expr& e, FrameObject* frame) {
  if (!e.test) error("no test named '{}' found", printable(e.text));
  const Value operand = eval(*e.items[0], frame);
  Args args;
  eval_args(e.args.get(), args, frame);
  line_ = e.line;
  return Value(e.test->call(*this, operand, args));
}

Value Render::apply_filter(std::string_view name, const Value& input, Args& args) {
  const FilterRow* row = find_filter(name);
  if (!row) error("no filter named '{}'", printable(name));
  step();
  return row->call(*this, input, args);
}

bool Render::apply_test(std::string_view name, const Value& input, Args& args) {
  const TestRow* row = find_test(name);
  if (!row) error("no test named '{}'", printable(name));
  step();
  return row->call(*this, input, args);
}

}  // namespace phial::tmpl
