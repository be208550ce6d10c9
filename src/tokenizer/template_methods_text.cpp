// The methods of strings, as Python's documentation of str has them.
#include <algorithm>
#include <limits>

#include "tokenizer/template_methods.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

Value like(Render& r, const Value& self, std::string text) {
  r.work(text.size());
  return r.string(std::move(text), self.string().markup);
}

/// An argument that joins markup must be markup too.
std::string joined_text(Render& r, const Value& self, const Value& v, const char* function) {
  text_of(r, v, function);
  return self.string().markup ? r.escaped(v) : v.text();
}

template <std::string (*F)(std::string_view)>
Value mapped(Render& r, const Value& self, Args& args) {
  positional(r, args, "str method", nullptr, 0, 0);
  r.work(self.text().size() * 4);
  r.heap().check(self.text().size() * 3);
  return like(r, self, F(self.text()));
}

Value strip_chars(Render& r, const Value& self, Args& args, bool left, bool right) {
  Value chars;
  positional(r, args, "strip", &chars, 0, 1);
  const std::string& text = self.text();
  r.work(text.size());
  if (!given(chars)) return like(r, self, std::string(strip(text, left, right)));
  const std::u32string set = decode(text_of(r, chars, "strip")), in = decode(text);
  size_t begin = 0, end = in.size();
  while (left && begin < end && set.find(in[begin]) != std::u32string::npos) ++begin;
  while (right && end > begin && set.find(in[end - 1]) != std::u32string::npos) --end;
  return like(r, self, encode(std::u32string_view(in).substr(begin, end - begin)));
}
Value str_strip(Render& r, const Value& self, Args& args) { return strip_chars(r, self, args, true, true); }
Value str_lstrip(Render& r, const Value& self, Args& args) { return strip_chars(r, self, args, true, false); }
Value str_rstrip(Render& r, const Value& self, Args& args) { return strip_chars(r, self, args, false, true); }

Value pieces(Render& r, const Value& self, const std::vector<std::string_view>& parts) {
  r.heap().check(parts.size() * (sizeof(StringObject) + sizeof(Value)));
  std::vector<Value> out;
  out.reserve(parts.size());
  for (const std::string_view p : parts) out.push_back(r.string(std::string(p), self.string().markup));
  return r.list(std::move(out));
}

Value split_text(Render& r, const Value& self, Args& args, bool from_right) {
  Value a[2];
  bind_args(r, args, from_right ? "rsplit" : "split", {"sep", "maxsplit"}, a);
  int64_t left = a[1].is_missing() ? -1 : integer_of(r, a[1]);
  if (left < 0) left = std::numeric_limits<int64_t>::max();
  const std::string_view text = self.text();
  r.work(text.size());
  std::vector<std::string_view> parts;
  if (given(a[0])) {
    const std::string_view sep = text_of(r, a[0], "split");
    if (sep.empty()) r.error("empty separator");
    if (!from_right) {
      size_t begin = 0;
      for (size_t at; left > 0 && (at = text.find(sep, begin)) != std::string_view::npos; begin = at + sep.size(), --left)
        parts.push_back(text.substr(begin, at - begin));
      parts.push_back(text.substr(begin));
    } else {
      size_t end = text.size();
      while (left > 0 && end >= sep.size()) {
        const size_t at = text.rfind(sep, end - sep.size());
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(at + sep.size(), end - at - sep.size()));
        end = at;
        --left;
      }
      parts.push_back(text.substr(0, end));
      std::reverse(parts.begin(), parts.end());
    }
    return pieces(r, self, parts);
  }
  // White space: runs separate, the ends are dropped, but what maxsplit leaves over keeps its far end.
  std::string_view rest = strip(text, !from_right, from_right);
  if (!from_right) {
    while (!rest.empty()) {
      size_t at = 0;
      while (at < rest.size()) {
        size_t behind = at;
        if (is_space(next_char(rest, behind))) break;
        at = behind;
      }
      if (left == 0) {
        parts.push_back(rest);
        break;
      }
      parts.push_back(rest.substr(0, at));
      rest = strip(rest.substr(at), true, false);
      --left;
    }
    return pieces(r, self, parts);
  }
  while (!rest.empty()) {
    size_t at = rest.size();
    while (at > 0) {
      size_t from = at - 1;
      while (from > 0 && (static_cast<unsigned char>(rest[from]) & 0xC0) == 0x80) --from;
      size_t behind = from;
      if (is_space(next_char(rest, behind))) break;
      at = from;
    }
    if (left == 0) {
      parts.push_back(rest);
      break;
    }
    parts.push_back(rest.substr(at));
    rest = strip(rest.substr(0, at), false, true);
    --left;
  }
  std::reverse(parts.begin(), parts.end());
  return pieces(r, self, parts);
}
Value str_split(Render& r, const Value& self, Args& args) { return split_text(r, self, args, false); }
Value str_rsplit(Render& r, const Value& self, Args& args) { return split_text(r, self, args, true); }

Value str_splitlines(Render& r, const Value& self, Args& args) {
  Value keep;
  bind_args(r, args, "splitlines", {"keepends"}, &keep);
  const bool keep_ends = !keep.is_missing() && r.truth(keep);
  const std::string_view text = self.text();
  r.work(text.size());
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_char(text, at);
    const bool is_break = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!is_break) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    parts.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) parts.push_back(text.substr(begin));
  return pieces(r, self, parts);
}

/// The part of the text that optional start and end arguments (code points) leave; `from` in code points. False: no part.
bool cut(Render& r, const Value& self, const Value& start, const Value& end, std::string_view& part, int64_t& from) {
  const int64_t n = r.n_chars(self);
  const auto place = [&](const Value& v, int64_t otherwise) {
    if (!given(v)) return otherwise;
    int64_t i = integer_of(r, v);
    if (i < 0) i = std::max<int64_t>(i + n, 0);
    return i;
  };
  from = place(start, 0);
  const int64_t to = std::min(place(end, n), n);
  if (from > to) return false;
  const std::string_view text = self.text();
  const size_t begin = byte_offset(text, from);
  part = text.substr(begin, byte_offset(text, to) - begin);
  return true;
}

Value affix(Render& r, const Value& self, Args& args, bool at_start) {
  Value a[3];
  positional(r, args, at_start ? "startswith" : "endswith", a, 1, 3);
  std::string_view part;
  int64_t from = 0;
  const bool inside = cut(r, self, a[1], a[2], part, from);
  const auto matches = [&](const Value& v) {
    const std::string_view wanted = text_of(r, v, at_start ? "startswith" : "endswith");
    if (!inside || wanted.size() > part.size()) return false;
    return (at_start ? part.substr(0, wanted.size()) : part.substr(part.size() - wanted.size())) == wanted;
  };
  if (!a[0].is(Kind::tuple)) return Value(matches(a[0]));
  for (const Value& v : a[0].sequence().items) {
    if (matches(v)) return Value(true);
  }
  return Value(false);
}
Value str_startswith(Render& r, const Value& self, Args& args) { return affix(r, self, args, true); }
Value str_endswith(Render& r, const Value& self, Args& args) { return affix(r, self, args, false); }

int64_t find_text(Render& r, const Value& self, Args& args, bool from_right, const char* function) {
  Value a[3];
  positional(r, args, function, a, 1, 3);
  const std::string_view wanted = text_of(r, a[0], function);
  std::string_view part;
  int64_t from = 0;
  if (!cut(r, self, a[1], a[2], part, from)) return -1;
  r.work(part.size());
  const size_t at = from_right ? part.rfind(wanted) : part.find(wanted);
  return at == std::string_view::npos ? -1 : from + count_chars(part.substr(0, at));
}
Value str_find(Render& r, const Value& self, Args& args) { return Value(find_text(r, self, args, false, "find")); }
Value str_rfind(Render& r, const Value& self, Args& args) { return Value(find_text(r, self, args, true, "rfind")); }
Value str_index(Render& r, const Value& self, Args& args) {
  const int64_t at = find_text(r, self, args, false, "index");
  if (at < 0) r.error("substring not found");
  return Value(at);
}
Value str_rindex(Render& r, const Value& self, Args& args) {
  const int64_t at = find_text(r, self, args, true, "rindex");
  if (at < 0) r.error("substring not found");
  return Value(at);
}

Value str_count(Render& r, const Value& self, Args& args) {
  Value a[3];
  positional(r, args, "count", a, 1, 3);
  const std::string_view wanted = text_of(r, a[0], "count");
  std::string_view part;
  int64_t from = 0, n = 0;
  if (!cut(r, self, a[1], a[2], part, from)) return Value(int64_t{0});
  r.work(part.size());
  if (wanted.empty()) return Value(count_chars(part) + 1);
  for (size_t at = 0; (at = part.find(wanted, at)) != std::string_view::npos; at += wanted.size()) ++n;
  return Value(n);
}

Value str_replace(Render& r, const Value& self, Args& args) {
  Value a[3];
  positional(r, args, "replace", a, 2, 3);
  const std::string from = joined_text(r, self, a[0], "replace"), to = joined_text(r, self, a[1], "replace");
  int64_t left = given(a[2]) ? integer_of(r, a[2]) : -1;
  if (left < 0) left = std::numeric_limits<int64_t>::max();
  const std::string_view text = self.text();
  r.work(text.size());
  std::string out;
  if (from.empty()) {
    for (size_t at = 0; left > 0; --left) {
      r.heap().check(out.size() + to.size());
      out += to;
      if (at >= text.size()) return like(r, self, std::move(out));
      const size_t begin = at;
      next_char(text, at);
      out += text.substr(begin, at - begin);
      if (left == 1) out += text.substr(at);
    }
    return like(r, self, out.empty() ? std::string(text) : std::move(out));
  }
  size_t begin = 0;
  for (size_t at; left > 0 && (at = text.find(from, begin)) != std::string_view::npos; --left) {
    out += text.substr(begin, at - begin);
    r.heap().check(out.size() + to.size());
    out += to;
    begin = at + from.size();
  }
  out += text.substr(begin);
  return like(r, self, std::move(out));
}

Value str_join(Render& r, const Value& self, Args& args) {
  Value items;
  positional(r, args, "join", &items, 1, 1);
  if (items.is_undefined()) return like(r, self, "");
  std::string out;
  bool first = true;
  const Value source = r.iterate(items);
  Value v;
  for (int64_t i = 0; r.next(source, v); ++i) {
    if (!v.is_string() && !self.string().markup) r.error("sequence item {}: expected str instance, {} found", i, type_name(v));
    const std::string piece = self.string().markup ? r.escaped(v) : v.text();
    r.heap().check(out.size() + piece.size() + self.text().size());
    r.work(piece.size());
    if (!first) out += self.text();
    first = false;
    out += piece;
  }
  return like(r, self, std::move(out));
}

Value justified(Render& r, const Value& self, Args& args, const char* function, int how) {
  Value a[2];
  positional(r, args, function, a, 1, 2);
  const int64_t n = r.n_chars(self), width = integer_of(r, a[0]);
  std::string fill = " ";
  if (!a[1].is_missing()) {
    fill = text_of(r, a[1], function);
    if (count_chars(fill) != 1) r.error("the fill character must be exactly one character long");
  }
  if (width <= n) return self;
  const int64_t missing = width - n;
  r.heap().check(static_cast<size_t>(missing));
  r.work(static_cast<size_t>(missing));
  // Python's center puts the odd one to the left when the width is odd.
  const int64_t left = how < 0 ? 0 : how > 0 ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return like(r, self, std::move(out));
}
Value str_center(Render& r, const Value& self, Args& args) { return justified(r, self, args, "center", 0); }
Value str_ljust(Render& r, const Value& self, Args& args) { return justified(r, self, args, "ljust", -1); }
Value str_rjust(Render& r, const Value& self, Args& args) { return justified(r, self, args, "rjust", 1); }

Value str_zfill(Render& r, const Value& self, Args& args) {
  Value width;
  positional(r, args, "zfill", &width, 1, 1);
  const int64_t missing = integer_of(r, width) - r.n_chars(self);
  if (missing <= 0) return self;
  r.heap().check(static_cast<size_t>(missing));
  std::string text = self.text();
  const bool sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  text.insert(sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return like(r, self, std::move(text));
}

Value parted(Render& r, const Value& self, Args& args, bool from_right) {
  Value sep;
  positional(r, args, from_right ? "rpartition" : "partition", &sep, 1, 1);
  const std::string& wanted = text_of(r, sep, "partition");
  if (wanted.empty()) r.error("empty separator");
  const std::string& text = self.text();
  r.work(text.size());
  const size_t at = from_right ? text.rfind(wanted) : text.find(wanted);
  if (at == std::string::npos) {
    const Value empty = like(r, self, "");
    return from_right ? r.tuple({empty, empty, self}) : r.tuple({self, empty, empty});
  }
  return r.tuple({like(r, self, text.substr(0, at)), like(r, self, wanted), like(r, self, text.substr(at + wanted.size()))});
}
Value str_partition(Render& r, const Value& self, Args& args) { return parted(r, self, args, false); }
Value str_rpartition(Render& r, const Value& self, Args& args) { return parted(r, self, args, true); }

Value str_removeprefix(Render& r, const Value& self, Args& args) {
  Value prefix;
  positional(r, args, "removeprefix", &prefix, 1, 1);
  const std::string& p = text_of(r, prefix, "removeprefix");
  const std::string& text = self.text();
  return text.compare(0, p.size(), p) == 0 ? like(r, self, text.substr(p.size())) : self;
}
Value str_removesuffix(Render& r, const Value& self, Args& args) {
  Value suffix;
  positional(r, args, "removesuffix", &suffix, 1, 1);
  const std::string& s = text_of(r, suffix, "removesuffix");
  const std::string& text = self.text();
  const bool has = text.size() >= s.size() && text.compare(text.size() - s.size(), s.size(), s) == 0;
  return has ? like(r, self, text.substr(0, text.size() - s.size())) : self;
}

Value str_expandtabs(Render& r, const Value& self, Args& args) {
  Value size;
  bind_args(r, args, "expandtabs", {"tabsize"}, &size);
  const int64_t tab = size.is_missing() ? 8 : integer_of(r, size);
  std::string out;
  int64_t column = 0;
  const std::string& text = self.text();
  r.work(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_char(text, at);
    if (c == '\t') {
      const int64_t n = tab > 0 ? tab - column % tab : 0;
      r.heap().check(out.size() + static_cast<size_t>(n));
      out.append(static_cast<size_t>(n), ' ');
      column += n;
      continue;
    }
    out.append(text, from, at - from);
    column = c == '\n' || c == '\r' ? 0 : column + 1;
  }
  return like(r, self, std::move(out));
}

template <bool (*F)(char32_t)>
Value all_chars(Render& r, const Value& self, Args& args) {
  positional(r, args, "str method", nullptr, 0, 0);
  const std::string& text = self.text();
  r.work(text.size());
  for (size_t at = 0; at < text.size();) {
    if (!F(next_char(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }

Value case_test(Render& r, const Value& self, Args& args, bool upper) {
  positional(r, args, upper ? "isupper" : "islower", nullptr, 0, 0);
  bool cased = false;
  const std::string& text = self.text();
  r.work(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (upper ? is_lower(c) || is_title(c) : is_upper(c) || is_title(c)) return Value(false);
    cased = cased || (upper ? is_upper(c) : is_lower(c));
  }
  return Value(cased);
}
Value str_isupper(Render& r, const Value& self, Args& args) { return case_test(r, self, args, true); }
Value str_islower(Render& r, const Value& self, Args& args) { return case_test(r, self, args, false); }

Value str_istitle(Render& r, const Value& self, Args& args) {
  positional(r, args, "istitle", nullptr, 0, 0);
  bool cased = false, inside = false;
  const std::string& text = self.text();
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (is_upper(c) || is_title(c)) {
      if (inside) return Value(false);
      inside = cased = true;
    } else if (is_lower(c)) {
      if (!inside) return Value(false);
      cased = true;
    } else {
      inside = false;
    }
  }
  return Value(cased);
}

Value str_isascii(Render& r, const Value& self, Args& args) {
  positional(r, args, "isascii", nullptr, 0, 0);
  return Value(is_ascii(self.text()));
}
Value str_isprintable(Render& r, const Value& self, Args& args) {
  if (self.text().empty()) return Value(true);
  return all_chars<is_printable>(r, self, args);
}
Value str_isidentifier(Render& r, const Value& self, Args& args) {
  positional(r, args, "isidentifier", nullptr, 0, 0);
  size_t at = 0;
  const std::string& text = self.text();
  if (text.empty() || !is_identifier_start(next_char(text, at))) return Value(false);
  while (at < text.size()) {
    if (!is_identifier_part(next_char(text, at))) return Value(false);
  }
  return Value(true);
}

Value str_format(Render& r, const Value& self, Args& args) { return r.string(brace_format(r, self, args), self.string().markup); }
Value str_format_map(Render& r, const Value& self, Args& args) {
  Value map;
  positional(r, args, "format_map", &map, 1, 1);
  if (!map.is(Kind::dict)) r.type_error("cannot be the mapping of format_map()", map);
  Args named;
  for (const auto& [key, value] : map.dict().entries) {
    if (key.is_string()) named.named.emplace_back(key.text(), value);
  }
  return r.string(brace_format(r, self, named), self.string().markup);
}

Value str_translate(Render& r, const Value& self, Args& args) {
  Value table;
  positional(r, args, "translate", &table, 1, 1);
  if (!table.is(Kind::dict)) r.type_error("is not a translation table", table);
  std::string out;
  for (const char32_t c : decode(self.text())) {
    const Value* to = r.dict_find(table.dict(), Value(static_cast<int64_t>(c)));
    if (!to) {
      append_char(out, c);
    } else if (to->is_string()) {
      out += to->text();
    } else if (to->is_integral() && to->integer() >= 0 && to->integer() <= 0x10FFFF) {
      append_char(out, static_cast<char32_t>(to->integer()));
    } else if (!to->is_none()) {
      r.error("character mapping must return integer, None or str");
    }
    r.heap().check(out.size());
  }
  return like(r, self, std::move(out));
}

constexpr Method kStringMethods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold", mapped<fold_case>},
    {"center", str_center},
    {"count", str_count},
    {"endswith", str_endswith},
    {"expandtabs", str_expandtabs},
    {"find", str_find},
    {"format", str_format},
    {"format_map", str_format_map},
    {"index", str_index},
    {"isalnum", all_chars<is_alnum>},
    {"isalpha", all_chars<is_alpha>},
    {"isascii", str_isascii},
    {"isdecimal", all_chars<is_decimal>},
    {"isdigit", all_chars<is_digit>},
    {"isidentifier", str_isidentifier},
    {"islower", str_islower},
    {"isnumeric", all_chars<is_numeric>},
    {"isprintable", str_isprintable},
    {"isspace", all_chars<is_space>},
    {"istitle", str_istitle},
    {"isupper", str_isupper},
    {"join", str_join},
    {"ljust", str_ljust},
    {"lower", mapped<lower>},
    {"lstrip", str_lstrip},
    {"partition", str_partition},
    {"removeprefix", str_removeprefix},
    {"removesuffix", str_removesuffix},
    {"replace", str_replace},
    {"rfind", str_rfind},
    {"rindex", str_rindex},
    {"rjust", str_rjust},
    {"rpartition", str_rpartition},
    {"rsplit", str_rsplit},
    {"rstrip", str_rstrip},
    {"split", str_split},
    {"splitlines", str_splitlines},
    {"startswith", str_startswith},
    {"strip", str_strip},
    {"swapcase", mapped<swap_case>},
    {"title", mapped<title>},
    {"translate", str_translate},
    {"upper", mapped<upper>},
    {"zfill", str_zfill},
};

}  // namespace

const Method* find_text_method(std::string_view name) {
  const Method* row =
      std::find_if(std::begin(kStringMethods), std::end(kStringMethods), [&](const Method& m) { return m.name == name; });
  return row == std::end(kStringMethods) ? nullptr : row;
}

}  // namespace phial::tmpl
