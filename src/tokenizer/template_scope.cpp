// Which variable a name means. Jinja decides this before a template runs: a name belongs to the innermost scope that stores
// it, and starts there as the outer variable's value, or the context's when it is stored in some branch only, or nothing.
// Macros, blocks, calls, recursive loops and loop filters are functions with a frame of their own and see the frames around
// them as they are when they run. Rules: jinja2 3.1.6, documentation "Assignments" and "Block Nesting and Scope".
#include <set>
#include <string_view>

#include "base/fail.h"
#include "tokenizer/template_ast.h"
#include "tokenizer/template_builtins.h"

namespace phial::tmpl {
namespace {

struct FunctionScope {
  FunctionScope* parent;
  int n_slots = 0;
};

struct Names {
  enum class Start { parameter, nothing, context, outer };
  struct State {
    std::set<std::string> known, stored;
    std::map<std::string, Start> starts;
  };

  Names(Names* parent, FunctionScope* function) : parent(parent), function(function) {}

  const Names* owner(const std::string& name) const {
    for (const Names* n = this; n; n = n->parent) {
      if (n->state.known.count(name)) return n;
    }
    return nullptr;
  }
  int slot(const std::string& name) {
    const auto [at, is_new] = slots.try_emplace(name, function->n_slots);
    if (is_new) ++function->n_slots;
    return at->second;
  }
  void define(const std::string& name, Start start) {
    state.known.insert(name);
    state.starts[name] = start;
    slot(name);
  }
  void load(const std::string& name) {
    if (!owner(name)) define(name, Start::context);
  }
  void store(const std::string& name) {
    state.stored.insert(name);
    if (state.known.count(name)) return;
    define(name, parent && parent->owner(name) ? Start::outer : Start::nothing);
  }
  int parameter(const std::string& name) {
    state.stored.insert(name);
    define(name, Start::parameter);
    return slot(name);
  }
  /// After branches of which one runs: what any of them stores starts with the value from outside.
  void join(const std::vector<State>& branches) {
    std::set<std::string> stored;
    for (const State& b : branches) stored.insert(b.stored.begin(), b.stored.end());
    for (const std::string& name : state.stored) stored.erase(name);
    for (const State& b : branches) {
      state.known.insert(b.known.begin(), b.known.end());
      for (const auto& [name, start] : b.starts) state.starts[name] = start;
      state.stored.insert(b.stored.begin(), b.stored.end());
    }
    for (const std::string& name : stored) state.starts[name] = parent && parent->owner(name) ? Start::outer : Start::context;
  }

  Names* parent;
  FunctionScope* function;
  State state;
  std::map<std::string, int> slots;
  bool top_level = false;
  int loops = 0;  // loops around, within the function
};

// ---- what a scope loads and stores

void collect(const Expr* e, Names& names);

void collect(const CallArgs* args, Names& names) {
  if (!args) return;
  for (const ExprPtr& a : args->positional) collect(a.get(), names);
  for (const auto& [name, a] : args->named) collect(a.get(), names);
  collect(args->star.get(), names);
  collect(args->double_star.get(), names);
}

void collect(const Expr* e, Names& names) {
  if (!e) return;
  if (e->kind == ExprKind::name) names.load(e->text);
  for (const ExprPtr& item : e->items) collect(item.get(), names);
  collect(e->args.get(), names);
}

void collect_target(const Expr& e, Names& names, bool as_parameter) {
  if (e.kind == ExprKind::name) {
    if (as_parameter) {
      names.parameter(e.text);
    } else {
      names.store(e.text);
    }
  } else if (e.kind == ExprKind::member) {
    names.load(e.items[0]->text);
  } else {
    for (const ExprPtr& item : e.items) collect_target(*item, names, as_parameter);
  }
}

void collect(const Body& body, Names& names);

Names::State branch(const Body& body, Names& names) {
  const Names::State before = names.state;
  collect(body, names);
  Names::State after = std::move(names.state);
  names.state = before;
  return after;
}

void collect_if(const Stmt& s, Names& names) {
  collect(s.branches[0].test.get(), names);
  std::vector<Names::State> branches = {branch(s.branches[0].body, names)};
  const Names::State before = names.state;
  for (size_t i = 1; i < s.branches.size() && s.branches[i].test; ++i) {
    collect(s.branches[i].test.get(), names);
    names.join({branch(s.branches[i].body, names)});
  }
  branches.push_back(std::move(names.state));
  names.state = before;
  if (!s.branches.back().test) branches.push_back(branch(s.branches.back().body, names));
  names.join(branches);
}

void collect(const Stmt& s, Names& names) {
  switch (s.kind) {
    case StmtKind::print:
    case StmtKind::for_:
    case StmtKind::call_block:
    case StmtKind::filter_block:
      collect(s.expr.get(), names);
      break;
    case StmtKind::set:
      collect(s.expr.get(), names);
      collect_target(*s.target, names, false);
      break;
    case StmtKind::set_block:
      collect_target(*s.target, names, false);
      break;
    case StmtKind::if_:
      collect_if(s, names);
      break;
    case StmtKind::macro:
      names.store(s.text);
      break;
    case StmtKind::with:
      for (const ExprPtr& v : s.values) collect(v.get(), names);
      break;
    case StmtKind::load:
      collect(s.expr.get(), names);
      for (const ExprPtr& t : s.targets) collect_target(*t, names, false);
      break;
    case StmtKind::scope:
      if (!s.expr) collect(s.body, names);  // {% print %} is no scope
      break;
    default:
      break;
  }
}

void collect(const Body& body, Names& names) {
  for (const StmtPtr& s : body) collect(*s, names);
}

// ---- special names used anywhere inside

struct Undeclared {
  std::set<std::string> wanted;
  std::set<std::string> found;

  void visit(const CallArgs* args) {
    if (!args) return;
    for (const ExprPtr& a : args->positional) visit(a.get());
    for (const auto& [name, a] : args->named) visit(a.get());
    visit(args->star.get());
    visit(args->double_star.get());
  }
  void visit(const Expr* e) {
    if (!e) return;
    if (e->kind == ExprKind::name && wanted.count(e->text)) found.insert(e->text);
    for (const ExprPtr& item : e->items) visit(item.get());
    visit(e->args.get());
  }
  void visit_target(const Expr* e) {
    if (!e || e->kind == ExprKind::member) return;
    if (e->kind == ExprKind::name) wanted.erase(e->text);
    for (const ExprPtr& item : e->items) visit_target(item.get());
  }
  void visit(const Body& body) {
    for (const StmtPtr& s : body) visit(*s);
  }
  void visit(const Stmt& s) {
    if (s.kind == StmtKind::block) return;
    visit_target(s.target.get());
    for (const ExprPtr& t : s.targets) visit_target(t.get());
    for (const ExprPtr& v : s.values) visit(v.get());
    visit(s.expr.get());
    for (const Parameter& p : s.parameters) wanted.erase(p.name);
    for (const Parameter& p : s.parameters) visit(p.default_value.get());
    for (const Branch& b : s.branches) {
      visit(b.test.get());
      visit(b.body);
    }
    visit(s.body);
    visit(s.else_body);
    visit(s.test.get());
  }
};

std::set<std::string> undeclared(const Body& body, std::set<std::string> wanted) {
  Undeclared u{std::move(wanted), {}};
  u.visit(body);
  return std::move(u.found);
}

bool stores(const Expr* target, std::string_view name) {
  if (!target) return false;
  if (target->kind == ExprKind::name) return target->text == name;
  if (target->kind == ExprKind::member) return false;
  for (const ExprPtr& item : target->items) {
    if (stores(item.get(), name)) return true;
  }
  return false;
}

bool stores(const Body& body, std::string_view name) {
  for (const StmtPtr& s : body) {
    if ((s->kind != StmtKind::with && stores(s->target.get(), name)) || stores(s->body, name) || stores(s->else_body, name))
      return true;
    for (const Branch& b : s->branches) {
      if (stores(b.body, name)) return true;
    }
  }
  return false;
}

// ---- binding

class Binder {
 public:
  explicit Binder(Tree& tree) : tree_(tree) {}

  void run() {
    FunctionScope function{nullptr};
    Names names(nullptr, &function);
    names.top_level = true;
    if (undeclared(tree_.root.body, {"self"}).count("self")) tree_.root.self_slot = names.parameter("self");
    collect(tree_.root.body, names);
    finish(names, tree_.root.scope);
    bind(tree_.root.body, names, false);
    tree_.root.n_slots = function.n_slots;
    for (size_t i = 0; i < blocks_.size(); ++i) bind_block(*blocks_[i]);  // a block may hold more of them
  }

 private:
  [[noreturn]] static void error(int line, const std::string& text) {
    fail(ErrorCode::template_, "template line {}: {}", line, text);
  }

  static Variable variable(const Names& owner, const Names& user, const std::string& name) {
    Variable v;
    for (const FunctionScope* f = user.function; f != owner.function; f = f->parent) ++v.hops;
    v.slot = owner.slots.at(name);
    return v;
  }
  static Variable variable(const Names& user, const std::string& name) {
    const Names* owner = user.owner(name);
    PHIAL_CHECK(owner != nullptr);
    return variable(*owner, user, name);
  }

  static void finish(Names& names, Scope& scope) {
    for (const auto& [name, start] : names.state.starts) {
      const int slot = names.slot(name);
      scope.slots.push_back(slot);
      switch (start) {
        case Names::Start::parameter:
          break;
        case Names::Start::nothing:
          scope.start.push_back({SlotStart::From::nothing, slot, {}, {}});
          break;
        case Names::Start::context:
          scope.start.push_back({SlotStart::From::context, slot, name, {}});
          break;
        case Names::Start::outer: {
          const Names* owner = names.parent->owner(name);
          scope.start.push_back({SlotStart::From::other, slot, {}, variable(*owner, names, name)});
          break;
        }
      }
    }
  }

  void bind(CallArgs* args, Names& names, bool soft) {
    if (!args) return;
    for (ExprPtr& a : args->positional) bind(a.get(), names, soft);
    for (auto& [name, a] : args->named) bind(a.get(), names, soft);
    bind(args->star.get(), names, soft);
    bind(args->double_star.get(), names, soft);
  }

  void bind(Expr* e, Names& names, bool soft) {
    if (!e) return;
    if (e->kind == ExprKind::name) e->variable = variable(names, e->text);
    if (e->kind == ExprKind::filter) {
      e->filter = find_filter(e->text);
      if (!e->filter && !soft) error(e->line, "no filter named '" + printable(e->text) + "'");
    }
    if (e->kind == ExprKind::test) {
      e->test = find_test(e->text);
      if (!e->test && !soft) error(e->line, "no test named '" + printable(e->text) + "'");
    }
    // Inside an inline condition an unknown filter or test is an error only when it is reached.
    const bool inner_soft = soft || e->kind == ExprKind::condition;
    for (ExprPtr& item : e->items) bind(item.get(), names, inner_soft);
    bind(e->args.get(), names, inner_soft);
  }

  void bind_target(Expr& e, Names& names) {
    if (e.kind == ExprKind::name) {
      e.variable = variable(names, e.text);
    } else {
      for (ExprPtr& item : e.items) bind_target(*item, names);
    }
  }

  void export_names(const Expr& target, const Names& names, Stmt& s) {
    if (target.kind == ExprKind::name) {
      s.exports.emplace_back(target.text, variable(names, target.text));
    } else if (target.kind != ExprKind::member) {
      for (const ExprPtr& item : target.items) export_names(*item, names, s);
    }
  }

  void bind(Body& body, Names& names, bool soft) {
    for (StmtPtr& s : body) bind(*s, names, soft);
  }

  void bind(Stmt& s, Names& names, bool soft) {
    const bool exports = names.top_level && !tree_.blocks.empty();
    switch (s.kind) {
      case StmtKind::data:
        break;
      case StmtKind::print:
        bind(s.expr.get(), names, soft);
        break;
      case StmtKind::if_:
        for (Branch& b : s.branches) {
          bind(b.test.get(), names, true);
          bind(b.body, names, true);
        }
        break;
      case StmtKind::for_:
        bind_for(s, names, soft);
        break;
      case StmtKind::set:
        bind(s.expr.get(), names, soft);
        bind_target(*s.target, names);
        if (exports) export_names(*s.target, names, s);
        break;
      case StmtKind::set_block: {
        bind_target(*s.target, names);
        if (exports) export_names(*s.target, names, s);
        inline_scope(s, names, s.expr.get(), nullptr);
        break;
      }
      case StmtKind::filter_block:
        inline_scope(s, names, s.expr.get(), nullptr);
        break;
      case StmtKind::with: {
        for (ExprPtr& v : s.values) bind(v.get(), names, soft);
        inline_scope(s, names, nullptr, &s.targets);
        break;
      }
      case StmtKind::macro:
        s.variable = variable(names, s.text);
        if (exports) s.exports.emplace_back(s.text, s.variable);
        bind_macro(s, names);
        break;
      case StmtKind::call_block:
        bind(s.expr.get(), names, soft);
        bind_macro(s, names);
        break;
      case StmtKind::generation:
        bind_macro(s, names);
        break;
      case StmtKind::block:
        if (s.scoped) {
          std::set<std::string> seen;
          for (const Names* n = &names; n; n = n->parent) {
            for (const std::string& name : n->state.stored) {
              if (seen.insert(name).second) s.visible.emplace_back(name, variable(names, name));
            }
          }
        }
        blocks_.push_back(&s);
        break;
      case StmtKind::scope:
        if (!s.expr) {
          bind(s.body, names, soft);
        } else {
          inline_scope(s, names, s.expr.get(), nullptr);
        }
        break;
      case StmtKind::break_:
      case StmtKind::continue_:
        if (names.loops == 0) error(s.line, s.kind == StmtKind::break_ ? "'break' outside loop" : "'continue' outside loop");
        break;
      case StmtKind::load:
        bind(s.expr.get(), names, soft);
        for (ExprPtr& t : s.targets) bind_target(*t, names);
        break;
    }
  }

  /// A scope within the same function: its expression and body see its names.
  void inline_scope(Stmt& s, Names& names, Expr* expr, std::vector<ExprPtr>* targets) {
    Names inner(&names, names.function);
    inner.loops = names.loops;
    if (targets) {
      for (ExprPtr& t : *targets) collect_target(*t, inner, true);
    }
    collect(s.body, inner);
    if (expr) collect(expr, inner);
    finish(inner, s.scope);
    if (targets) {
      for (ExprPtr& t : *targets) bind_target(*t, inner);
    }
    if (expr) bind(expr, inner, false);
    bind(s.body, inner, false);
  }

  void bind_for(Stmt& s, Names& names, bool soft) {
    bind(s.expr.get(), names, soft);
    if (stores(s.target.get(), "loop") || stores(s.body, "loop") || stores(s.else_body, "loop")) {
      error(s.line, "can't assign to special loop variable in for-loop target");
    }
    s.uses_loop =
        s.recursive || undeclared(s.body, {"loop"}).count("loop") || has_scoped_block(s.body) || has_scoped_block(s.else_body);
    FunctionScope own{names.function};
    FunctionScope* function = s.recursive ? &own : names.function;

    Names inner(&names, function);
    inner.loops = (s.recursive ? 0 : names.loops) + 1;
    if (s.uses_loop) s.loop_slot = inner.parameter("loop");
    collect_target(*s.target, inner, true);
    collect(s.body, inner);
    finish(inner, s.scope);

    Names otherwise(&names, function);
    otherwise.loops = s.recursive ? 0 : names.loops;
    collect(s.else_body, otherwise);
    finish(otherwise, s.else_scope);

    if (s.test) {
      // The filter is a function of its own that goes through the values one by one.
      FunctionScope filter{function};
      Names test(&names, &filter);
      collect_target(*s.target, test, true);
      collect(s.test.get(), test);
      finish(test, s.test_scope);
      bind(s.test.get(), test, false);
      copy_target(*s.target, test, s);
      s.test_slots = filter.n_slots;
    }
    bind_target(*s.target, inner);
    bind(s.body, inner, false);
    bind(s.else_body, otherwise, false);
    s.n_slots = own.n_slots;
  }

  /// The loop's target once more, bound to the filter's variables.
  void copy_target(const Expr& target, Names& names, Stmt& s) {
    s.targets.clear();
    s.targets.push_back(copy(target));
    bind_target(*s.targets[0], names);
  }
  static ExprPtr copy(const Expr& e) {
    auto out = std::make_unique<Expr>();
    out->kind = e.kind;
    out->line = e.line;
    out->text = e.text;
    for (const ExprPtr& item : e.items) out->items.push_back(copy(*item));
    return out;
  }

  static bool has_scoped_block(const Body& body) {
    for (const StmtPtr& s : body) {
      if ((s->kind == StmtKind::block && s->scoped) || has_scoped_block(s->body) || has_scoped_block(s->else_body)) return true;
      for (const Branch& b : s->branches) {
        if (has_scoped_block(b.body)) return true;
      }
    }
    return false;
  }

  void bind_macro(Stmt& s, Names& names) {
    FunctionScope function{names.function};
    Names inner(&names, &function);
    const std::set<std::string> special = undeclared(s.body, {"caller", "kwargs", "varargs"});
    bool has_caller = false, has_kwargs = false, has_varargs = false;
    for (Parameter& p : s.parameters) {
      p.slot = inner.parameter(p.name);
      has_kwargs |= p.name == "kwargs";
      has_varargs |= p.name == "varargs";
      if (p.name != "caller") continue;
      has_caller = true;
      if (special.count("caller") && !p.default_value) {
        error(s.line,
              "when defining macros or call blocks the special \"caller\" argument must be omitted or be given a default");
      }
    }
    s.uses_caller = special.count("caller") > 0;
    if (s.uses_caller && !has_caller) s.caller_slot = inner.parameter("caller");
    if (special.count("kwargs") && !has_kwargs) {
      s.uses_kwargs = true;
      s.kwargs_slot = inner.parameter("kwargs");
    }
    if (special.count("varargs") && !has_varargs) {
      s.uses_varargs = true;
      s.varargs_slot = inner.parameter("varargs");
    }
    for (Parameter& p : s.parameters) collect(p.default_value.get(), inner);
    collect(s.body, inner);
    finish(inner, s.scope);
    for (Parameter& p : s.parameters) bind(p.default_value.get(), inner, false);
    bind(s.body, inner, false);
    s.n_slots = function.n_slots;
  }

  /// Blocks see the context and what the top level has exported, not the variables around them.
  void bind_block(Stmt& s) {
    FunctionScope function{nullptr};
    Names names(nullptr, &function);
    const std::set<std::string> special = undeclared(s.body, {"self", "super"});
    if (special.count("self")) s.self_slot = names.parameter("self");
    if (special.count("super")) s.super_slot = names.parameter("super");
    collect(s.body, names);
    finish(names, s.scope);
    bind(s.body, names, false);
    s.n_slots = function.n_slots;
  }

  Tree& tree_;
  std::vector<Stmt*> blocks_;
};

}  // namespace

void bind(Tree& tree) { Binder(tree).run(); }

}  // namespace phial::tmpl
