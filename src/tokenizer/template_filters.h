// The filters on text, for the table in template_filters.cpp, and what both files share.
#pragma once

#include "tokenizer/template_render.h"

namespace phial::tmpl {

int64_t integer_argument(Render& r, const Value& v, int64_t otherwise);
Value soft_text(Render& r, const Value& v);  // str(v), markup staying markup
Value call_method(Render& r, const Value& of, std::string_view method, std::vector<Value> arguments = {});

Value capitalize_filter(Render& r, const Value& v, Args& args);
Value center_filter(Render& r, const Value& v, Args& args);
Value escape_filter(Render& r, const Value& v, Args& args);
Value forceescape_filter(Render& r, const Value& v, Args& args);
Value format_filter(Render& r, const Value& v, Args& args);
Value indent_filter(Render& r, const Value& v, Args& args);
Value lower_filter(Render& r, const Value& v, Args& args);
Value pprint_filter(Render& r, const Value& v, Args& args);
Value replace_filter(Render& r, const Value& v, Args& args);
Value safe_filter(Render& r, const Value& v, Args& args);
Value string_filter(Render& r, const Value& v, Args& args);
Value striptags_filter(Render& r, const Value& v, Args& args);
Value title_filter(Render& r, const Value& v, Args& args);
Value trim_filter(Render& r, const Value& v, Args& args);
Value truncate_filter(Render& r, const Value& v, Args& args);
Value upper_filter(Render& r, const Value& v, Args& args);
Value urlencode_filter(Render& r, const Value& v, Args& args);
Value urlize_filter(Render& r, const Value& v, Args& args);
Value wordcount_filter(Render& r, const Value& v, Args& args);
Value wordwrap_filter(Render& r, const Value& v, Args& args);
Value xmlattr_filter(Render& r, const Value& v, Args& args);

}  // namespace phial::tmpl
