// The parser of chat templates: Jinja's grammar as jinja2 3.1.6 reads it, with loopcontrols and the generation tag.
#include "base/fail.h"
#include "tokenizer/template_expressions.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace phial::tmpl {
namespace {

class Parser : private ExpressionParser {
 public:
  explicit Parser(const std::string& source) : ExpressionParser(source) {}

  Tree run() {
    Tree tree;
    tree_ = &tree;
    tree.root.body = body({});
    tree.n_constants = n_constants_;
    return tree;
  }

 private:  // Statements.
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
        default:
          error(now().line, "unexpected {}", describe(now()));
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
    if (ends.size() > 0)
      error(line, "unknown tag '{}'; expected {{% {} %}} for the innermost open tag", printable(name), *ends.begin());
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
    if (is_op("-"))
      error(line,
            "block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead");
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

  Tree* tree_ = nullptr;
};

}  // namespace

Tree parse(const std::string& source) { return Parser(source).run(); }

}  // namespace phial::tmpl
