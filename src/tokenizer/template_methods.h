// What the methods of template values share.
#pragma once

#include "tokenizer/template_render.h"

namespace phial::tmpl {

struct Method {
  std::string_view name;
  Function call;
};

/// Positional arguments only, `required` up to `most`.
void positional(Render& r, Args& args, const char* function, Value* out, size_t required, size_t most);
const std::string& text_of(Render& r, const Value& v, const char* function);
int64_t integer_of(Render& r, const Value& v);
inline bool given(const Value& v) { return !v.is_missing() && !v.is_none(); }

const Method* find_text_method(std::string_view name);  // null when there is none

}  // namespace phial::tmpl
