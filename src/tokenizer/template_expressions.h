// The half of the template parser that reads expressions; template_parser.cpp reads the statements around them.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/fail.h"
#include "tokenizer/template_ast.h"
#include "tokenizer/template_lexer.h"

namespace phial::tmpl {

class ExpressionParser {
 protected:
  explicit ExpressionParser(const std::string& source) : tokens_(tokenize(source)) {}

  struct Nesting {
    explicit Nesting(ExpressionParser& parser) : parser(parser) {
      if (++parser.depth_ > kMaxNesting) {
        fail(ErrorCode::depth, "template line {}: tags and brackets nested more than {} deep; simplify the template",
             parser.now().line, kMaxNesting);
      }
    }
    ~Nesting() { --parser.depth_; }
    ExpressionParser& parser;
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
      case TokenType::data:
        return "template text";
      case TokenType::print_begin:
        return "begin of print statement";
      case TokenType::print_end:
        return "end of print statement";
      case TokenType::block_begin:
        return "begin of statement block";
      case TokenType::block_end:
        return "end of statement block";
      case TokenType::integer:
      case TokenType::floating:
        return "a number";
      case TokenType::end:
        return "end of template";
      default:
        return "'" + printable(token.text) + "'";
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
    if (e.height > kMaxExprHeight)
      fail(ErrorCode::depth, "template line {}: an expression is nested more than {} deep; split it", e.line, kMaxExprHeight);
  }
  void add_operand(Expr& e, ExprPtr child) {
    raise(e, child.get());
    e.items.push_back(std::move(child));
  }
  StmtPtr statement(StmtKind kind, int line) { return std::make_unique<Stmt>(kind, line); }

  // Assignment targets and expressions.
  void check_assignable(const std::string& name, int line) const;
  ExprPtr name_target();
  ExprPtr primary_target(bool with_namespace);
  ExprPtr target(bool with_namespace = false, bool in_parentheses = false);
  bool tuple_ends() const;
  ExprPtr tuple(bool with_condition = true, bool in_parentheses = false);
  ExprPtr expression();
  ExprPtr either();
  ExprPtr both();
  ExprPtr inversion();
  bool comparison_operator(Comparison& op);
  ExprPtr comparison();
  /// Levels 0: + -, 1: ~, 2: * / // %, 3: ** (to the left, as Jinja has it).
  ExprPtr binary(int level);
  ExprPtr unary(bool with_filter);
  ExprPtr constant(ExprKind kind, int line, int64_t integer = 0);
  ExprPtr string_constant(std::string text, int line);
  ExprPtr primary();
  ExprPtr list(int line);
  ExprPtr dict(int line);
  ExprPtr postfix(ExprPtr e);
  ExprPtr filter_expression(ExprPtr e);
  ExprPtr subscript(ExprPtr of);
  ExprPtr subscript_item();
  std::unique_ptr<CallArgs> call_args(Expr& owner);
  ExprPtr call(ExprPtr callee);
  std::string dotted_name();
  /// `| name(args) | ...`; without an operand the filters work on the text of a block. `first` is set when the first name
  /// comes without its bar.
  ExprPtr filters(ExprPtr operand, bool first = false);
  bool starts_argument() const;
  ExprPtr test(ExprPtr operand);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int64_t n_constants_ = 0;
};

}  // namespace phial::tmpl
