// Expressions and assignment targets of a chat template, as jinja2 3.1.6 reads them.
#include "tokenizer/template_expressions.h"

#include <set>

namespace phial::tmpl {

void ExpressionParser::check_assignable(const std::string& name, int line) const {
  static const std::set<std::string, std::less<>> kConstants = {"true", "false", "none", "True", "False", "None"};
  if (kConstants.count(name)) error(line, "can't assign to '{}'", name);
}

ExprPtr ExpressionParser::name_target() {
  ExprPtr e = make(ExprKind::name, now().line);
  e->text = expect_name();
  check_assignable(e->text, e->line);
  return e;
}

ExprPtr ExpressionParser::primary_target(bool with_namespace) {
  const int line = now().line;
  if (is_op("(")) {
    const Nesting nesting(*this);
    take();
    ExprPtr e = target(with_namespace, true);
    expect_op(")");
    return e;
  }
  if (!is(TokenType::name)) error(line, "can't assign to {}", describe(now()));
  if (with_namespace && ahead().type == TokenType::op && ahead().text == ".") {
    ExprPtr e = make(ExprKind::member, line);
    ExprPtr name = make(ExprKind::name, line);
    name->text = take().text;
    take();
    e->text = expect_name();
    add_operand(*e, std::move(name));
    return e;
  }
  return name_target();
}

ExprPtr ExpressionParser::target(bool with_namespace, bool in_parentheses) {
  const int line = now().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_op(",");
    if (tuple_ends()) break;
    items.push_back(primary_target(with_namespace));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!in_parentheses) error(line, "expected an expression, got {}", describe(now()));
  }
  ExprPtr e = make(ExprKind::tuple, line);
  for (ExprPtr& item : items) add_operand(*e, std::move(item));
  return e;
}

bool ExpressionParser::tuple_ends() const { return is(TokenType::print_end) || is(TokenType::block_end) || is_op(")"); }

ExprPtr ExpressionParser::tuple(bool with_condition, bool in_parentheses) {
  const int line = now().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_op(",");
    if (tuple_ends()) break;
    items.push_back(with_condition ? expression() : either());
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!in_parentheses) error(line, "expected an expression, got {}", describe(now()));
  }
  ExprPtr e = make(ExprKind::tuple, line);
  for (ExprPtr& item : items) add_operand(*e, std::move(item));
  return e;
}

ExprPtr ExpressionParser::expression() {
  const Nesting nesting(*this);
  const int line = now().line;
  ExprPtr e = either();
  while (skip_name("if")) {
    ExprPtr test = either();
    ExprPtr otherwise;
    if (skip_name("else")) otherwise = expression();
    e = node(ExprKind::condition, line, std::move(test), std::move(e), std::move(otherwise));
  }
  return e;
}

ExprPtr ExpressionParser::either() {
  ExprPtr e = both();
  while (is_name("or")) {
    const int line = take().line;
    e = node(ExprKind::either, line, std::move(e), both());
  }
  return e;
}

ExprPtr ExpressionParser::both() {
  ExprPtr e = inversion();
  while (is_name("and")) {
    const int line = take().line;
    e = node(ExprKind::both, line, std::move(e), inversion());
  }
  return e;
}

ExprPtr ExpressionParser::inversion() {
  int n = 0;
  const int line = now().line;
  while (skip_name("not")) ++n;
  ExprPtr e = comparison();
  for (; n > 0; --n) e = node(ExprKind::invert, line, std::move(e));
  return e;
}

bool ExpressionParser::comparison_operator(Comparison& op) {
  static constexpr std::pair<std::string_view, Comparison> kTable[] = {
      {"==", Comparison::equal},      {"!=", Comparison::not_equal}, {"<", Comparison::less},
      {"<=", Comparison::less_equal}, {">", Comparison::greater},    {">=", Comparison::greater_equal}};
  for (const auto& [text, value] : kTable) {
    if (!skip_op(text)) continue;
    op = value;
    return true;
  }
  if (skip_name("in")) {
    op = Comparison::in;
    return true;
  }
  if (is_name("not") && ahead().type == TokenType::name && ahead().text == "in") {
    take();
    take();
    op = Comparison::not_in;
    return true;
  }
  return false;
}

ExprPtr ExpressionParser::comparison() {
  const int line = now().line;
  ExprPtr first = binary(0);
  Comparison op;
  if (!comparison_operator(op)) return first;
  ExprPtr e = node(ExprKind::compare, line, std::move(first));
  do {
    e->comparisons.push_back(op);
    add_operand(*e, binary(0));
  } while (comparison_operator(op));
  return e;
}

ExprPtr ExpressionParser::binary(int level) {
  struct Row {
    std::string_view op;
    ExprKind kind;
    int level;
  };
  static constexpr Row kRows[] = {{"+", ExprKind::add, 0},      {"-", ExprKind::subtract, 0}, {"~", ExprKind::concat, 1},
                                  {"*", ExprKind::multiply, 2}, {"/", ExprKind::divide, 2},   {"//", ExprKind::floor_divide, 2},
                                  {"%", ExprKind::modulo, 2},   {"**", ExprKind::power, 3}};
  // One loop for all levels: operators wait on a stack until a weaker one comes.
  std::vector<ExprPtr> operands;
  std::vector<std::pair<const Row*, int>> waiting;
  const auto reduce = [&] {
    const auto [row, line] = waiting.back();
    waiting.pop_back();
    ExprPtr right = std::move(operands.back());
    operands.pop_back();
    ExprPtr& left = operands.back();
    if (row->kind == ExprKind::concat && left->kind == ExprKind::concat && !left->text.empty()) {
      add_operand(*left, std::move(right));
    } else {
      left = node(row->kind, line, std::move(left), std::move(right));
      if (row->kind == ExprKind::concat) left->text = "~";  // still open for more operands
    }
  };
  while (true) {
    operands.push_back(unary(true));
    const Row* found = nullptr;
    for (const Row& row : kRows) {
      if (row.level >= level && is_op(row.op)) found = &row;
    }
    while (!waiting.empty() && (!found || waiting.back().first->level >= found->level)) reduce();
    if (!found) break;
    waiting.push_back({found, take().line});
  }
  if (operands[0]->kind == ExprKind::concat) operands[0]->text.clear();
  return std::move(operands[0]);
}

ExprPtr ExpressionParser::unary(bool with_filter) {
  const int line = now().line;
  std::string signs;
  while (is_op("-") || is_op("+")) signs += take().text;
  ExprPtr e = postfix(primary());
  if (signs.empty()) return with_filter ? filter_expression(std::move(e)) : std::move(e);
  for (size_t i = signs.size(); i-- > 0;) {
    e = node(signs[i] == '-' ? ExprKind::negate : ExprKind::plus, line, std::move(e));
    e = postfix(std::move(e));
  }
  return with_filter ? filter_expression(std::move(e)) : std::move(e);
}

ExprPtr ExpressionParser::constant(ExprKind kind, int line, int64_t integer) {
  ExprPtr e = make(kind, line);
  e->integer = integer;
  return e;
}

ExprPtr ExpressionParser::string_constant(std::string text, int line) {
  ExprPtr e = constant(ExprKind::string, line, n_constants_++);
  e->text = std::move(text);
  return e;
}

ExprPtr ExpressionParser::primary() {
  const Token& token = now();
  const int line = token.line;
  switch (token.type) {
    case TokenType::name: {
      const std::string name = take().text;
      if (name == "true" || name == "True") return constant(ExprKind::boolean, line, 1);
      if (name == "false" || name == "False") return constant(ExprKind::boolean, line, 0);
      if (name == "none" || name == "None") return constant(ExprKind::none, line);
      ExprPtr e = make(ExprKind::name, line);
      e->text = name;
      return e;
    }
    case TokenType::string: {
      std::string text = take().text;
      while (is(TokenType::string)) text += take().text;
      return string_constant(std::move(text), line);
    }
    case TokenType::integer:
      return constant(ExprKind::integer, line, take().integer);
    case TokenType::floating: {
      ExprPtr e = constant(ExprKind::floating, line);
      e->floating = take().floating;
      return e;
    }
    default:
      break;
  }
  if (skip_op("(")) {
    ExprPtr e = tuple(true, true);
    expect_op(")");
    return e;
  }
  if (skip_op("[")) return list(line);
  if (skip_op("{")) return dict(line);
  error(line, "unexpected {}", describe(now()));
}

ExprPtr ExpressionParser::list(int line) {
  ExprPtr e = make(ExprKind::list, line);
  while (!is_op("]")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("]")) break;
    add_operand(*e, expression());
  }
  expect_op("]");
  return e;
}

ExprPtr ExpressionParser::dict(int line) {
  ExprPtr e = make(ExprKind::dict, line);
  while (!is_op("}")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("}")) break;
    add_operand(*e, expression());
    expect_op(":");
    add_operand(*e, expression());
  }
  expect_op("}");
  return e;
}

ExprPtr ExpressionParser::postfix(ExprPtr e) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      e = subscript(std::move(e));
    } else if (is_op("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr ExpressionParser::filter_expression(ExprPtr e) {
  while (true) {
    if (is_op("|")) {
      e = filters(std::move(e));
    } else if (is_name("is")) {
      e = test(std::move(e));
    } else if (is_op("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr of) {
  const int line = now().line;
  if (take().text == ".") {
    if (is(TokenType::name)) {
      ExprPtr e = node(ExprKind::attribute, line, std::move(of));
      e->text = take().text;
      e->integer = n_constants_++;
      return e;
    }
    if (!is(TokenType::integer)) error(line, "expected name or number, got {}", describe(now()));
    ExprPtr index = constant(ExprKind::integer, line, take().integer);
    return node(ExprKind::item, line, std::move(of), std::move(index));
  }
  std::vector<ExprPtr> items;
  while (!is_op("]")) {
    if (!items.empty()) expect_op(",");
    items.push_back(subscript_item());
  }
  expect_op("]");
  ExprPtr index;
  if (items.size() == 1) {
    index = std::move(items[0]);
  } else {
    index = make(ExprKind::tuple, line);
    for (ExprPtr& item : items) {
      if (item->kind == ExprKind::slice) error(line, "a slice cannot be part of a tuple of subscripts");
      add_operand(*index, std::move(item));
    }
  }
  return node(ExprKind::item, line, std::move(of), std::move(index));
}

ExprPtr ExpressionParser::subscript_item() {
  const int line = now().line;
  ExprPtr parts[3];
  int n = 0;
  if (!is_op(":")) {
    parts[0] = expression();
    if (!is_op(":")) return std::move(parts[0]);
  }
  while (n < 2 && skip_op(":")) {
    ++n;
    if (!is_op(":") && !is_op("]") && !is_op(",")) parts[n] = expression();
  }
  ExprPtr e = make(ExprKind::slice, line);
  for (ExprPtr& part : parts) add_operand(*e, std::move(part));
  return e;
}

std::unique_ptr<CallArgs> ExpressionParser::call_args(Expr& owner) {
  const int line = take().line;  // "("
  auto args = std::make_unique<CallArgs>();
  bool first = true;
  const auto require = [&](bool ok) {
    if (!ok) error(line, "invalid syntax for function call expression");
  };
  while (!is_op(")")) {
    if (!first) {
      expect_op(",");
      if (is_op(")")) break;
    }
    first = false;
    if (skip_op("*")) {
      require(!args->star && !args->double_star);
      args->star = expression();
      raise(owner, args->star.get());
    } else if (skip_op("**")) {
      require(!args->double_star);
      args->double_star = expression();
      raise(owner, args->double_star.get());
    } else if (is(TokenType::name) && ahead().type == TokenType::op && ahead().text == "=") {
      require(!args->double_star);
      std::string name = take().text;
      take();
      for (const auto& [other, value] : args->named) {
        if (other == name) error(line, "keyword argument repeated: {}", printable(name));
      }
      ExprPtr value = expression();
      raise(owner, value.get());
      args->named.emplace_back(std::move(name), std::move(value));
    } else {
      require(!args->star && !args->double_star && args->named.empty());
      ExprPtr value = expression();
      raise(owner, value.get());
      args->positional.push_back(std::move(value));
    }
  }
  expect_op(")");
  return args;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
  ExprPtr e = node(ExprKind::call, now().line, std::move(callee));
  e->args = call_args(*e);
  return e;
}

std::string ExpressionParser::dotted_name() {
  std::string name = expect_name();
  while (skip_op(".")) {
    name += '.';
    name += expect_name();
  }
  return name;
}

ExprPtr ExpressionParser::filters(ExprPtr operand, bool first) {
  ExprPtr e = std::move(operand);
  while (first || is_op("|")) {
    const int line = now().line;
    if (!first) take();
    first = false;
    ExprPtr filter = node(ExprKind::filter, line, std::move(e));
    filter->text = dotted_name();
    if (is_op("(")) filter->args = call_args(*filter);
    e = std::move(filter);
  }
  return e;
}

bool ExpressionParser::starts_argument() const {
  if (is(TokenType::name)) return !is_name("else") && !is_name("or") && !is_name("and");
  return is(TokenType::string) || is(TokenType::integer) || is(TokenType::floating) || is_op("(") || is_op("[") || is_op("{");
}

ExprPtr ExpressionParser::test(ExprPtr operand) {
  const int line = take().line;  // "is"
  const bool inverted = skip_name("not");
  ExprPtr e = node(ExprKind::test, line, std::move(operand));
  e->text = dotted_name();
  if (is_op("(")) {
    e->args = call_args(*e);
  } else if (starts_argument()) {
    if (is_name("is")) error(line, "you cannot chain multiple tests with is");
    const Nesting nesting(*this);
    e->args = std::make_unique<CallArgs>();
    ExprPtr argument = postfix(primary());
    raise(*e, argument.get());
    e->args->positional.push_back(std::move(argument));
  }
  return inverted ? node(ExprKind::invert, line, std::move(e)) : std::move(e);
}

}  // namespace phial::tmpl
