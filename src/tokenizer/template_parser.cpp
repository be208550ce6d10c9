// The parser of chat templates: Jinja's grammar as jinja2 3.1.6 reads it, with loopcontrols and the generation tag.
#include "base/fail.h"
#include "tokenizer/template_ast.h"
#include "tokenizer/template_lexer.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string_view>

namespace phial::tmpl {
namespace {

class Parser {
 public:
  explicit Parser(const std::string& source) : tokens_(tokenize(source)) {}

  Tree run() {
    Tree tree;
    tree_ = &tree;
    tree.root.body = body({});
    tree.n_constants = n_constants_;
    return tree;
  }

 private:
  struct Nesting {
    explicit Nesting(Parser& parser) : parser(parser) {
      if (++parser.depth_ > kMaxNesting) {
        fail(ErrorCode::depth, "template line {}: tags and brackets nested more than {} deep; simplify the template", parser.now().line, kMaxNesting);
      }
    }
    ~Nesting() { --parser.depth_; }
    Parser& parser;
  };

  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is(TokenType type) const { return now().type == type; }
  bool is_op(std::string_view op) const { return now().type == TokenType::op && now().text == op; }
  bool is_name(std::string_view name) const { return now().type == TokenType::name && now().text == name; }
  bool skip_op(std::string_view op) {
    if (!is_op(op)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!is_name(name)) return false;
    take();
    return true;
  }

  template <typename... A>
  [[noreturn]] void error(int line, fmt::format_string<A...> text, A&&... args) const {
    fail(ErrorCode::template_, "template line {}: {}", line, fmt::format(text, std::forward<A>(args)...));
  }

  static std::string describe(const Token& token) {
    switch (token.type) {
      case TokenType::data: return "template text";
      case TokenType::print_begin: return "begin of print statement";
      case TokenType::print_end: return "end of print statement";
      case TokenType::block_begin: return "begin of statement block";
      case TokenType::block_end: return "end of statement block";
      case TokenType::integer:
      case TokenType::floating: return "a number";
      case TokenType::end: return "end of template";
      default: return "'" + printable(token.text) + "'";
    }
  }

  void expect_op(std::string_view op) {
    if (!skip_op(op)) error(now().line, "expected '{}', got {}", op, describe(now()));
  }
  std::string expect_name() {
    if (!is(TokenType::name)) error(now().line, "expected a name, got {}", describe(now()));
    return take().text;
  }
  void expect_block_end() {
    if (!is(TokenType::block_end)) error(now().line, "expected end of statement block, got {}", describe(now()));
    take();
  }

  // Nodes.
  ExprPtr make(ExprKind kind, int line) {
    auto e = std::make_unique<Expr>();
    e->kind = kind;
    e->line = line;
    return e;
  }
  template <typename... Operands>
  ExprPtr node(ExprKind kind, int line, Operands... operands) {
    ExprPtr e = make(kind, line);
    (add_operand(*e, std::move(operands)), ...);
    return e;
  }
  void raise(Expr& e, const Expr* child) {
    if (!child) return;
    e.height = std::max(e.height, child->height + 1);
    if (e.height > kMaxExprHeight) fail(ErrorCode::depth, "template line {}: an expression is nested more than {} deep; split it", e.line, kMaxExprHeight);
  }
  void add_operand(Expr& e, ExprPtr child) {
    raise(e, child.get());
    e.items.push_back(std::move(child));
  }
  StmtPtr statement(StmtKind kind, int line) {
    return std::make_unique<Stmt>(kind, line);
  }

  // Statements.
  Body body(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Body out;
    while (true) {
      switch (now().type) {
        case TokenType::data: {
          StmtPtr s = statement(StmtKind::data, now().line);
          s->text = std::move(take().text);
          out.push_back(std::move(s));
          break;
        }
        case TokenType::print_begin: {
          take();
          StmtPtr s = statement(StmtKind::print, now().line);
          s->expr = tuple();
          if (!is(TokenType::print_end)) error(now().line, "expected end of print statement, got {}", describe(now()));
          take();
          out.push_back(std::move(s));
          break;
        }
        case TokenType::block_begin:
          take();
          if (is(TokenType::name) && std::find(ends.begin(), ends.end(), now().text) != ends.end()) return out;
          if (StmtPtr s = tag(ends)) out.push_back(std::move(s));
          expect_block_end();
          break;
        case TokenType::end:
          if (ends.size() == 0) return out;
          error(now().line, "unexpected end of template; expected {{% {} %}}", *ends.begin());
        default: error(now().line, "unexpected {}", describe(now()));
      }
    }
  }

  /// The body up to one of the end tags; its name is left to be read.
  Body block_body(std::initializer_list<std::string_view> ends) {
    skip_op(":");
    expect_block_end();
    return body(ends);
  }
  Body closed_body(std::string_view end) {
    Body b = block_body({end});
    take();
    return b;
  }

  StmtPtr tag(std::initializer_list<std::string_view> ends) {
    if (!is(TokenType::name)) error(now().line, "tag name expected, got {}", describe(now()));
    const int line = now().line;
    const std::string name = take().text;
    if (name == "if") return if_tag(line);
    if (name == "for") return for_tag(line);
    if (name == "set") return set_tag(line);
    if (name == "macro") return macro_tag(line);
    if (name == "call") return call_tag(line);
    if (name == "filter") return filter_tag(line);
    if (name == "with") return with_tag(line);
    if (name == "block") return block_tag(line);
    if (name == "print") return print_tag(line);
    if (name == "generation") {
      StmtPtr s = statement(StmtKind::generation, line);
      if (!is(TokenType::block_end)) error(line, "expected end of statement block, got {}", describe(now()));
      s->body = closed_body("endgeneration");
      return s;
    }
    if (name == "autoescape") {
      StmtPtr s = statement(StmtKind::scope, line);
      s->expr = expression();
      s->body = closed_body("endautoescape");
      return s;
    }
    if (name == "break") return statement(StmtKind::break_, line);
    if (name == "continue") return statement(StmtKind::continue_, line);
    if (name == "extends" || name == "include" || name == "import" || name == "from") return load_tag(name, line);
    if (ends.size() > 0) error(line, "unknown tag '{}'; expected {{% {} %}} for the innermost open tag", printable(name), *ends.begin());
    error(line, "unknown tag '{}'", printable(name));
  }

  StmtPtr if_tag(int line) {
    StmtPtr s = statement(StmtKind::if_, line);
    while (true) {
      Branch branch;
      branch.test = tuple(false);
      branch.body = block_body({"elif", "else", "endif"});
      s->branches.push_back(std::move(branch));
      const std::string end = take().text;
      if (end == "elif") continue;
      if (end == "else") {
        Branch last;
        last.body = closed_body("endif");
        s->branches.push_back(std::move(last));
      }
      return s;
    }
  }

  StmtPtr for_tag(int line) {
    StmtPtr s = statement(StmtKind::for_, line);
    s->target = target();
    if (!skip_name("in")) error(now().line, "expected 'in', got {}", describe(now()));
    s->expr = tuple(false);
    if (skip_name("if")) s->test = expression();
    s->recursive = skip_name("recursive");
    s->body = block_body({"endfor", "else"});
    if (take().text == "else") s->else_body = closed_body("endfor");
    return s;
  }

  StmtPtr set_tag(int line) {
    ExprPtr to = target(true);
    if (skip_op("=")) {
      StmtPtr s = statement(StmtKind::set, line);
      s->target = std::move(to);
      s->expr = tuple();
      return s;
    }
    StmtPtr s = statement(StmtKind::set_block, line);
    s->target = std::move(to);
    s->expr = filters(nullptr);
    s->body = closed_body("endset");
    return s;
  }

  void signature(Stmt& s) {
    expect_op("(");
    bool has_default = false;
    while (!is_op(")")) {
      if (!s.parameters.empty()) expect_op(",");
      Parameter p;
      const int line = now().line;
      p.name = expect_name();
      check_assignable(p.name, line);
      if (skip_op("=")) {
        p.default_value = expression();
        has_default = true;
      } else if (has_default) {
        error(line, "non-default argument follows default argument");
      }
      s.parameters.push_back(std::move(p));
    }
    expect_op(")");
  }

  StmtPtr macro_tag(int line) {
    StmtPtr s = statement(StmtKind::macro, line);
    s->text = expect_name();
    check_assignable(s->text, line);
    signature(*s);
    s->body = closed_body("endmacro");
    return s;
  }

  StmtPtr call_tag(int line) {
    StmtPtr s = statement(StmtKind::call_block, line);
    s->text = "caller";
    if (is_op("(")) signature(*s);
    s->expr = expression();
    if (s->expr->kind != ExprKind::call) error(line, "expected call");
    s->body = closed_body("endcall");
    return s;
  }

  StmtPtr filter_tag(int line) {
    StmtPtr s = statement(StmtKind::filter_block, line);
    s->expr = filters(nullptr, true);
    s->body = closed_body("endfilter");
    return s;
  }

  StmtPtr with_tag(int line) {
    StmtPtr s = statement(StmtKind::with, line);
    while (!is(TokenType::block_end)) {
      if (!s->targets.empty()) expect_op(",");
      s->targets.push_back(target());
      expect_op("=");
      s->values.push_back(expression());
    }
    s->body = closed_body("endwith");
    return s;
  }

  StmtPtr block_tag(int line) {
    StmtPtr s = statement(StmtKind::block, line);
    s->text = expect_name();
    s->scoped = skip_name("scoped");
    s->required = skip_name("required");
    if (is_op("-")) error(line, "block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead");
    s->body = closed_body("endblock");
    skip_name(s->text);
    if (!tree_->blocks.emplace(s->text, s.get()).second) error(line, "block '{}' defined twice", printable(s->text));
    return s;
  }

  StmtPtr print_tag(int line) {
    // {% print a, b %} writes one value after the other.
    StmtPtr s = statement(StmtKind::scope, line);
    s->text = "print";
    while (!is(TokenType::block_end)) {
      if (!s->body.empty()) expect_op(",");
      StmtPtr p = statement(StmtKind::print, line);
      p->expr = expression();
      s->body.push_back(std::move(p));
    }
    return s;
  }

  /// extends, include, import and from: read, and refused when they run, since a chat template has nothing to load from.
  StmtPtr load_tag(const std::string& name, int line) {
    StmtPtr s = statement(StmtKind::load, line);
    s->text = name;
    s->expr = expression();
    while (!is(TokenType::block_end) && !is(TokenType::end)) {
      if (name == "import" && skip_name("as")) {
        s->targets.push_back(name_target());
      } else if (name == "from" && is_name("import")) {
        take();
        while (is(TokenType::name)) {
          ExprPtr imported = name_target();
          if (skip_name("as")) imported = name_target();
          s->targets.push_back(std::move(imported));
          if (!skip_op(",")) break;
        }
      } else if (is(TokenType::name)) {
        take();  // with context, without context, ignore missing
      } else {
        error(line, "unexpected {}", describe(now()));
      }
    }
    return s;
  }

  // Assignment targets.
  void check_assignable(const std::string& name, int line) const {
    static const std::set<std::string, std::less<>> kConstants = {"true", "false", "none", "True", "False", "None"};
    if (kConstants.count(name)) error(line, "can't assign to '{}'", name);
  }

  ExprPtr name_target() {
    ExprPtr e = make(ExprKind::name, now().line);
    e->text = expect_name();
    check_assignable(e->text, e->line);
    return e;
  }

  ExprPtr primary_target(bool with_namespace) {
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

  ExprPtr target(bool with_namespace = false, bool in_parentheses = false) {
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

  // Expressions.
  bool tuple_ends() const { return is(TokenType::print_end) || is(TokenType::block_end) || is_op(")"); }

  ExprPtr tuple(bool with_condition = true, bool in_parentheses = false) {
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

  ExprPtr expression() {
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

  ExprPtr either() {
    ExprPtr e = both();
    while (is_name("or")) {
      const int line = take().line;
      e = node(ExprKind::either, line, std::move(e), both());
    }
    return e;
  }

  ExprPtr both() {
    ExprPtr e = inversion();
    while (is_name("and")) {
      const int line = take().line;
      e = node(ExprKind::both, line, std::move(e), inversion());
    }
    return e;
  }

  ExprPtr inversion() {
    int n = 0;
    const int line = now().line;
    while (skip_name("not")) ++n;
    ExprPtr e = comparison();
    for (; n > 0; --n) e = node(ExprKind::invert, line, std::move(e));
    return e;
  }

  bool comparison_operator(Comparison& op) {
    static constexpr std::pair<std::string_view, Comparison> kTable[] = {
        {"==", Comparison::equal}, {"!=", Comparison::not_equal}, {"<", Comparison::less},
        {"<=", Comparison::less_equal}, {">", Comparison::greater}, {">=", Comparison::greater_equal}};
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

  ExprPtr comparison() {
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

  /// Levels 0: + -, 1: ~, 2: * / // %, 3: ** (to the left, as Jinja has it).
  ExprPtr binary(int level) {
    struct Row {
      std::string_view op;
      ExprKind kind;
      int level;
    };
    static constexpr Row kRows[] = {{"+", ExprKind::add, 0}, {"-", ExprKind::subtract, 0}, {"~", ExprKind::concat, 1},
                                    {"*", ExprKind::multiply, 2}, {"/", ExprKind::divide, 2}, {"//", ExprKind::floor_divide, 2},
                                    {"%", ExprKind::modulo, 2}, {"**", ExprKind::power, 3}};
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

  ExprPtr unary(bool with_filter) {
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

  ExprPtr constant(ExprKind kind, int line, int64_t integer = 0) {
    ExprPtr e = make(kind, line);
    e->integer = integer;
    return e;
  }

  ExprPtr string_constant(std::string text, int line) {
    ExprPtr e = constant(ExprKind::string, line, n_constants_++);
    e->text = std::move(text);
    return e;
  }

  ExprPtr primary() {
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
      case TokenType::integer: return constant(ExprKind::integer, line, take().integer);
      case TokenType::floating: {
        ExprPtr e = constant(ExprKind::floating, line);
        e->floating = take().floating;
        return e;
      }
      default: break;
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

  ExprPtr list(int line) {
    ExprPtr e = make(ExprKind::list, line);
    while (!is_op("]")) {
      if (!e->items.empty()) expect_op(",");
      if (is_op("]")) break;
      add_operand(*e, expression());
    }
    expect_op("]");
    return e;
  }

  ExprPtr dict(int line) {
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

  ExprPtr postfix(ExprPtr e) {
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

  ExprPtr filter_expression(ExprPtr e) {
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

  ExprPtr subscript(ExprPtr of) {
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

  ExprPtr subscript_item() {
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

  std::unique_ptr<CallArgs> call_args(Expr& owner) {
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

  ExprPtr call(ExprPtr callee) {
    ExprPtr e = node(ExprKind::call, now().line, std::move(callee));
    e->args = call_args(*e);
    return e;
  }

  std::string dotted_name() {
    std::string name = expect_name();
    while (skip_op(".")) {
      name += '.';
      name += expect_name();
    }
    return name;
  }

  /// `| name(args) | ...`; without an operand the filters work on the text of a block. `first` is set when the first name
  /// comes without its bar.
  ExprPtr filters(ExprPtr operand, bool first = false) {
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

  bool starts_argument() const {
    if (is(TokenType::name)) return !is_name("else") && !is_name("or") && !is_name("and");
    return is(TokenType::string) || is(TokenType::integer) || is(TokenType::floating) || is_op("(") || is_op("[") || is_op("{");
  }

  ExprPtr test(ExprPtr operand) {
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

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int64_t n_constants_ = 0;
  Tree* tree_ = nullptr;
};

}  // namespace

Tree parse(const std::string& source) { return Parser(source).run(); }

}  // namespace phial::tmpl
