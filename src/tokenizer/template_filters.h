// The filters that are not in template_filters.cpp, for the table there, and what the filters share.
#pragma once

#include "tokenizer/template_render.h"

namespace phial::tmpl {

int64_t integer_argument(Render& r, const Value& v, int64_t otherwise);
Value soft_text(Render& r, const Value& v);  // str(v), markup staying markup
Value call_method(Render& r, const Value& of, std::string_view method, std::vector<Value> arguments = {});

/// In lower case, when it is a string: what comparisons look at unless they are case sensitive.
Value lowered(Render& r, const Value& v);

/// Jinja's attribute paths: "a.b.0", or any other value as one subscript.
struct Path {
  Path() = default;
  Path(Render& r, const Value& attribute, Value otherwise = {});
  Value of(Render& r, Value v) const;

  std::vector<Value> parts;
  Value otherwise;  // instead of an undefined part, when given
};

Value abs_filter(Render& r, const Value& v, Args& args);
Value batch_filter(Render& r, const Value& v, Args& args);
Value filesizeformat_filter(Render& r, const Value& v, Args& args);
Value float_filter(Render& r, const Value& v, Args& args);
Value int_filter(Render& r, const Value& v, Args& args);
Value items_filter(Render& r, const Value& v, Args& args);
Value map_filter(Render& r, const Value& v, Args& args);
Value reject_filter(Render& r, const Value& v, Args& args);
Value rejectattr_filter(Render& r, const Value& v, Args& args);
Value round_filter(Render& r, const Value& v, Args& args);
Value select_filter(Render& r, const Value& v, Args& args);
Value selectattr_filter(Render& r, const Value& v, Args& args);
Value slice_filter(Render& r, const Value& v, Args& args);
Value unique_filter(Render& r, const Value& v, Args& args);

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
