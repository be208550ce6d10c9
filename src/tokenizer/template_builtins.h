// The tables of filters, tests and global functions that a chat template may use.
#pragma once

#include <string_view>

#include "tokenizer/template_value.h"

namespace phial::tmpl {

struct FilterRow {
  std::string_view name;
  Value (*call)(Render& render, const Value& input, Args& args);
};

struct TestRow {
  std::string_view name;
  bool (*call)(Render& render, const Value& input, Args& args);
};

struct GlobalRow {
  const char* name;
  Function call;
};

const FilterRow* find_filter(std::string_view name);  // null when unknown
const TestRow* find_test(std::string_view name);
const GlobalRow* find_global(std::string_view name);

}  // namespace phial::tmpl
