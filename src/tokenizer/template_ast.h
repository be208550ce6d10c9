// The tree of a parsed chat template. Names are bound to variable slots by template_scope.cpp; the tree is not changed after
// that and may be rendered from several threads at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace phial::tmpl {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct FilterRow;
struct TestRow;

enum class ExprKind : uint8_t {
  none,
  boolean,
  integer,
  floating,
  string,
  name,
  member,  // member: `ns.attribute` as the target of an assignment
  tuple,
  list,
  dict,
  negate,
  plus,
  invert,  // invert: `not`
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  concat,
  both,
  either,
  compare,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
  condition
};

enum class Comparison : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

/// A variable: `hops` functions outwards from the one that runs, then a slot of its frame.
struct Variable {
  int hops = 0, slot = -1;
};

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, double_star;
};

struct Expr {
  ExprKind kind;
  int line;
  int height = 1;
  std::string text;     // name, attribute, string, name of a filter or test
  int64_t integer = 0;  // value, or the index of a string constant
  double floating = 0;
  std::vector<ExprPtr> items;  // operands; for slices three of which any may be null; for dicts key, value, key, ...
  std::vector<Comparison> comparisons;
  std::unique_ptr<CallArgs> args;
  Variable variable;
  const FilterRow* filter = nullptr;
  const TestRow* test = nullptr;
};

enum class StmtKind : uint8_t {
  data,
  print,
  if_,
  for_,
  set,
  set_block,
  macro,
  call_block,
  generation,
  filter_block,
  with,
  block,
  scope,
  break_,
  continue_,
  load
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

/// What happens to a variable when its scope is entered.
struct SlotStart {
  enum class From : uint8_t { context, other, nothing } from;
  int slot;
  std::string name;  // context
  Variable other;
};

struct Scope {
  std::vector<SlotStart> start;
  std::vector<int> slots;  // all of the scope's, emptied when it is left
};

struct Branch {
  ExprPtr test;  // null for else
  Body body;
};

struct Parameter {
  std::string name;
  ExprPtr default_value;  // may be null
  int slot = -1;
};

struct Stmt {
  Stmt(StmtKind kind, int line) : kind(kind), line(line) {}

  StmtKind kind;
  int line;
  std::string text;  // data, name of a macro or block, what a loader would have loaded
  ExprPtr expr;      // printed, iterated, called, assigned
  ExprPtr target;    // for, set
  ExprPtr test;      // for ... if
  Body body, else_body;
  std::vector<Branch> branches;          // if
  std::vector<ExprPtr> targets, values;  // with
  std::vector<Parameter> parameters;     // macro, call
  Scope scope, else_scope, test_scope;
  bool recursive = false, scoped = false, required = false, top_level = false;
  bool uses_loop = false, uses_caller = false, uses_kwargs = false, uses_varargs = false;
  int loop_slot = -1, self_slot = -1, super_slot = -1, caller_slot = -1, kwargs_slot = -1, varargs_slot = -1;
  Variable variable;                                      // where a macro's definition goes
  std::vector<std::pair<std::string, Variable>> exports;  // what an assignment at the top level shows to blocks
  std::vector<std::pair<std::string, Variable>> visible;  // what a scoped block sees of the variables around it
  int n_slots = 0;                                        // of the function that this statement is
  int test_slots = 0;                                     // of the loop filter, which has its own copy of the target in `targets`
};

struct Tree {
  Stmt root = Stmt(StmtKind::scope, 1);
  std::map<std::string, const Stmt*> blocks;
  int64_t n_constants = 0;
};

/// Throws TEMPLATE with the line, DEPTH for nesting beyond what a small stack can take.
Tree parse(const std::string& source);
/// Binds names, filters and tests. Throws TEMPLATE.
void bind(Tree& tree);

constexpr int kMaxNesting = 100;     // of tags and brackets
constexpr int kMaxExprHeight = 250;  // of one expression's tree

}  // namespace phial::tmpl
