// Jinja's filters on text.
#include <algorithm>

#include "tokenizer/template_filters.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

template <typename F>
Value changed(Render& r, const Value& v, Args& args, const char* name, F&& f) {
  bind_args(r, args, name, {}, nullptr);
  const Value text = soft_text(r, v);
  r.work(text.text().size() * 4);
  r.heap().check(text.text().size() * 3);
  return r.string(f(text.text()), text.string().markup);
}

}  // namespace

Value upper_filter(Render& r, const Value& v, Args& args) { return changed(r, v, args, "upper", upper); }
Value lower_filter(Render& r, const Value& v, Args& args) { return changed(r, v, args, "lower", lower); }
Value capitalize_filter(Render& r, const Value& v, Args& args) { return changed(r, v, args, "capitalize", capitalize); }

Value title_filter(Render& r, const Value& v, Args& args) {
  // Words begin behind white space, dashes and opening brackets; each begins with a capital and goes on in lower case.
  return changed(r, v, args, "title", [](const std::string& text) {
    std::string out;
    const auto is_break = [](char32_t c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c); };
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      size_t next = at;
      const bool breaks = is_break(next_char(text, next));
      const size_t first = next;
      for (at = next; at < text.size(); at = next) {
        if (is_break(next_char(text, next)) != breaks) break;
      }
      out += upper(std::string_view(text).substr(begin, first - begin));
      out += lower(std::string_view(text).substr(first, at - first));
    }
    return out;
  });
}

Value center_filter(Render& r, const Value& v, Args& args) {
  Value width;
  bind_args(r, args, "center", {"width"}, &width);
  return call_method(r, soft_text(r, v), "center", {width.is_missing() ? Value(int64_t{80}) : width});
}

Value trim_filter(Render& r, const Value& v, Args& args) {
  Value chars;
  bind_args(r, args, "trim", {"chars"}, &chars);
  return call_method(r, soft_text(r, v), "strip", {chars.is_missing() ? Value::none() : chars});
}

Value string_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "string", {}, nullptr);
  return soft_text(r, v);
}

Value safe_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "safe", {}, nullptr);
  return r.string(r.text(v), true);
}

Value escape_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "escape", {}, nullptr);
  return r.string(r.escaped(v), true);
}

Value forceescape_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "forceescape", {}, nullptr);
  return r.string(r.escaped(r.string(r.text(v))), true);
}

Value format_filter(Render& r, const Value& v, Args& args) {
  if (!args.positional.empty() && !args.named.empty()) r.error("can't handle positional and keyword arguments at the same time");
  Value values;
  if (args.named.empty()) {
    values = r.tuple(std::move(args.positional));
  } else {
    values = r.dict();
    for (auto& [name, value] : args.named) r.dict_set(values, r.string(name), std::move(value));
  }
  return r.binary(ExprKind::modulo, soft_text(r, v), values);
}

Value replace_filter(Render& r, const Value& v, Args& args) {
  Value a[3];
  bind_args(r, args, "replace", {"old", "new", "count"}, a, 2);
  Value text = r.string(r.text(v));
  if (r.autoescape()) {
    const bool escapes = r.is_markup(a[0]) || (r.is_markup(a[1]) && !r.is_markup(v));
    text = escapes ? r.string(r.escaped(v), true) : soft_text(r, v);
    return call_method(r, text, "replace", {soft_text(r, a[0]), soft_text(r, a[1]), a[2].is_missing() ? Value::none() : a[2]});
  }
  return call_method(r, text, "replace",
                     {r.string(r.text(a[0])), r.string(r.text(a[1])), a[2].is_missing() ? Value::none() : a[2]});
}

Value indent_filter(Render& r, const Value& v, Args& args) {
  Value a[3];
  bind_args(r, args, "indent", {"width", "first", "blank"}, a);
  std::string indentation;
  if (a[0].is_string()) {
    indentation = a[0].text();
  } else {
    const int64_t n = std::max<int64_t>(integer_argument(r, a[0], 4), 0);
    r.heap().check(static_cast<size_t>(n));
    indentation.assign(static_cast<size_t>(n), ' ');
  }
  if (!v.is_string()) r.type_error("cannot be indented: it is no string", v);
  const bool first = !a[1].is_missing() && r.truth(a[1]), blank = !a[2].is_missing() && r.truth(a[2]);
  const Value lines = call_method(r, r.string(v.text() + "\n"), "splitlines");
  std::string out = first ? indentation : "";
  bool is_first = true;
  for (const Value& line : lines.sequence().items) {
    if (!is_first) {
      out += '\n';
      if (blank || !line.text().empty()) out += indentation;
    }
    is_first = false;
    out += line.text();
    r.heap().check(out.size() + indentation.size());
  }
  r.work(out.size());
  return r.string(std::move(out), v.string().markup);
}

Value truncate_filter(Render& r, const Value& v, Args& args) {
  Value a[4];
  bind_args(r, args, "truncate", {"length", "killwords", "end", "leeway"}, a);
  const int64_t length = integer_argument(r, a[0], 255);
  const bool killwords = !a[1].is_missing() && r.truth(a[1]);
  const Value end = a[2].is_missing() ? r.string("...") : a[2];
  const int64_t leeway = a[3].is_missing() || a[3].is_none() ? 5 : integer_argument(r, a[3], 5);
  const int64_t end_length = r.length(end);
  if (length < end_length) r.error("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) r.error("expected leeway >= 0, got {}", leeway);
  if (r.length(v) <= checked_add(r, length, leeway)) return v;
  const Value cut = r.slice(v, Value::none(), Value(length - end_length), Value::none());
  if (killwords) return r.binary(ExprKind::add, cut, end);
  const Value words = call_method(r, cut, "rsplit", {r.string(" "), Value(int64_t{1})});
  return r.binary(ExprKind::add, words.sequence().items[0], end);
}

Value wordcount_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "wordcount", {}, nullptr);
  const std::string text = soft_text(r, v).text();
  r.work(text.size());
  int64_t n = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word(next_char(text, at));
    n += word && !inside;
    inside = word;
  }
  return Value(n);
}

namespace {

/// textwrap's pieces of a line: white space, and words that may end behind a hyphen between letters or behind a dash.
std::vector<std::u32string> wrap_chunks(const std::u32string& line, bool on_hyphens) {
  const auto space = [](char32_t c) { return (c >= 9 && c <= 13) || c == ' '; };
  const auto letter = [](char32_t c) { return is_word(c) && !is_decimal(c) && c != '_'; };
  std::vector<std::u32string> chunks;
  size_t begin = 0;
  const auto end_chunk = [&](size_t end) {
    if (end > begin) chunks.push_back(line.substr(begin, end - begin));
    begin = end;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const bool last = i + 1 == line.size();
    if (last) break;
    if (space(line[i]) != space(line[i + 1])) {
      end_chunk(i + 1);
      continue;
    }
    if (!on_hyphens || space(line[i])) continue;
    if (line[i] == '-' && i > begin) {
      size_t run = i;
      while (run > 0 && line[run - 1] == '-') --run;
      const size_t dashes = i + 1 - run;
      const bool word_before =
          run > begin && (is_word(line[run - 1]) || line[run - 1] == '!' || line[run - 1] == '"' || line[run - 1] == '\'' ||
                          line[run - 1] == '&' || line[run - 1] == '.' || line[run - 1] == ',' || line[run - 1] == '?');
      if (dashes == 1 && line[i + 1] != '-' && run >= 2 && letter(line[run - 1]) &&
          (letter(line[run - 2]) || line[run - 2] == '-') && letter(line[i + 1]) && i + 2 < line.size() &&
          (letter(line[i + 2]) || line[i + 2] == '-')) {
        end_chunk(i + 1);
      } else if (dashes >= 2 && line[i + 1] != '-' && is_word(line[i + 1])) {
        if (word_before) {
          end_chunk(run);
        }
        end_chunk(i + 1);
      }
    }
  }
  end_chunk(line.size());
  return chunks;
}

std::vector<std::u32string> wrap(Render& r, const std::u32string& line, int64_t width, bool break_words, bool on_hyphens) {
  if (width <= 0) r.error("invalid width {} (must be > 0)", width);
  const auto limit = static_cast<size_t>(width);
  const auto blank = [](const std::u32string& c) { return std::all_of(c.begin(), c.end(), is_space); };
  std::vector<std::u32string> chunks = wrap_chunks(line, on_hyphens), lines;
  std::reverse(chunks.begin(), chunks.end());
  while (!chunks.empty()) {
    r.step();
    std::vector<std::u32string> now;
    size_t length = 0;
    if (!lines.empty() && blank(chunks.back())) chunks.pop_back();
    while (!chunks.empty() && length + chunks.back().size() <= limit) {
      length += chunks.back().size();
      now.push_back(std::move(chunks.back()));
      chunks.pop_back();
    }
    if (!chunks.empty() && chunks.back().size() > limit) {
      const size_t room = limit - length;
      if (break_words) {
        size_t end = std::max<size_t>(room, 1);
        if (on_hyphens && chunks.back().size() > room) {
          const size_t hyphen = room == 0 ? std::u32string::npos : chunks.back().substr(0, room).rfind(U'-');
          if (hyphen != std::u32string::npos && hyphen > 0 &&
              chunks.back().substr(0, hyphen).find_first_not_of(U'-') != std::u32string::npos)
            end = hyphen + 1;
        }
        now.push_back(chunks.back().substr(0, end));
        chunks.back().erase(0, end);
        if (chunks.back().empty()) chunks.pop_back();
      } else if (now.empty()) {
        now.push_back(std::move(chunks.back()));
        chunks.pop_back();
      }
    }
    if (!now.empty() && blank(now.back())) now.pop_back();
    if (now.empty()) continue;
    std::u32string joined;
    for (const auto& c : now) joined += c;
    lines.push_back(std::move(joined));
  }
  return lines;
}

}  // namespace

Value wordwrap_filter(Render& r, const Value& v, Args& args) {
  Value a[4];
  bind_args(r, args, "wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, a);
  const int64_t width = integer_argument(r, a[0], 79);
  const bool break_words = a[1].is_missing() || r.truth(a[1]), on_hyphens = a[3].is_missing() || r.truth(a[3]);
  const std::string joint = a[2].is_missing() || a[2].is_none() ? "\n" : r.text(a[2]);
  std::string out;
  bool first = true;
  const Value lines = call_method(r, v, "splitlines");
  for (const Value& line : lines.sequence().items) {
    if (!first) out += joint;
    first = false;
    r.work(line.text().size() * 16);
    bool first_part = true;
    for (const std::u32string& part : wrap(r, decode(line.text()), width, break_words, on_hyphens)) {
      if (!first_part) out += joint;
      first_part = false;
      out += encode(part);
    }
    r.heap().check(out.size());
  }
  return r.string(std::move(out));
}

namespace {

std::string url_quote(Render& r, const Value& v, bool for_query) {
  const std::string text = r.text(v);
  r.work(text.size());
  r.heap().check(text.size() * 3);
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                       c == '-' || c == '~' || (c == '/' && !for_query);
    if (plain) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

Value urlencode_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "urlencode", {}, nullptr);
  if (v.is_string() || !r.is_iterable(v)) return r.string(url_quote(r, v, false));
  std::string out;
  const Value source = r.iterate(v.is(Kind::dict) ? call_method(r, v, "items") : v);
  Value pair;
  while (r.next(source, pair)) {
    const std::vector<Value> both = r.collect(pair);
    if (both.size() != 2) r.error("urlencode wants pairs, got {} values", both.size());
    if (!out.empty()) out += '&';
    out += url_quote(r, both[0], true) + "=" + url_quote(r, both[1], true);
    r.heap().check(out.size());
  }
  return r.string(std::move(out));
}

Value xmlattr_filter(Render& r, const Value& v, Args& args) {
  Value autospace;
  bind_args(r, args, "xmlattr", {"autospace"}, &autospace);
  std::string out;
  for (const Value& pair : r.collect(call_method(r, v, "items"))) {
    const Value &key = pair.sequence().items[0], &value = pair.sequence().items[1];
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) r.error("expected string or bytes-like object, got '{}'", type_name(key));
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      r.error("invalid character in attribute name: {}", string_repr(key.text()));
    if (!out.empty()) out += ' ';
    out += r.escaped(key) + "=\"" + r.escaped(value) + "\"";
    r.heap().check(out.size());
  }
  if ((autospace.is_missing() || r.truth(autospace)) && !out.empty()) out.insert(0, " ");
  return r.string(std::move(out), r.autoescape());
}

namespace {

struct Entity {
  std::string_view name;
  char32_t c;
};
constexpr Entity kEntities[] = {{"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
                                {"apos", '\''},     {"nbsp", 0xA0},    {"copy", 0xA9},    {"reg", 0xAE},
                                {"hellip", 0x2026}, {"mdash", 0x2014}, {"ndash", 0x2013}, {"lsquo", 0x2018},
                                {"rsquo", 0x2019},  {"ldquo", 0x201C}, {"rdquo", 0x201D}, {"euro", 0x20AC}};

std::string unescape_html(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '&') {
      out += text[at++];
      continue;
    }
    const size_t end = text.substr(0, std::min(text.size(), at + 34)).find(';', at);
    char32_t c = 0;
    if (end != std::string_view::npos && end > at + 1) {
      const std::string_view name = text.substr(at + 1, end - at - 1);
      if (name[0] == '#') {
        const bool hex = name.size() > 1 && (name[1] | 32) == 'x';
        const std::string digits(name.substr(hex ? 2 : 1));
        const bool valid = !digits.empty() && digits.size() < 9 &&
                           digits.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") == std::string::npos;
        if (valid) c = static_cast<char32_t>(std::stoul(digits, nullptr, hex ? 16 : 10));
        if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
      } else {
        for (const Entity& e : kEntities) {
          if (e.name == name) c = e.c;
        }
      }
    }
    if (c) {
      append_char(out, c);
      at = end + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

}  // namespace

Value striptags_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "striptags", {}, nullptr);
  std::string text = r.text(v);
  r.work(text.size() * 4);
  for (const auto& [open, close] : {std::pair<std::string_view, std::string_view>{"<!--", "-->"}, {"<", ">"}}) {
    std::string out;
    size_t at = 0;
    while (true) {
      const size_t begin = text.find(open, at);
      const size_t end = begin == std::string::npos ? begin : text.find(close, begin);
      if (end == std::string::npos) break;
      out.append(text, at, begin - at);
      at = end + close.size();
    }
    out.append(text, at);
    text = std::move(out);
  }
  std::string out;
  const Value words = call_method(r, r.string(text), "split");
  for (const Value& word : words.sequence().items) {
    if (!out.empty()) out += ' ';
    out += word.text();
  }
  return r.string(unescape_html(out));
}

namespace {

/// pprint.pformat: one line when it fits, otherwise one entry per line; dict keys sorted.
class PrettyPrinter {
 public:
  explicit PrettyPrinter(Render& r) : r_(r) {}

  std::string out;

  void write(const Value& v, int64_t indent, int64_t allowance) {
    const Render::Deeper deeper(r_);
    const std::string flat = repr(v);
    if (count_chars(flat) <= 80 - indent - allowance || !(v.is_sequence() || v.is(Kind::dict))) {
      out += flat;
      return;
    }
    const char* brackets = v.is(Kind::dict) ? "{}" : v.is(Kind::list) ? "[]" : "()";
    out += brackets[0];
    const auto entries = v.is(Kind::dict) ? sorted_entries(v) : std::vector<std::pair<Value, Value>>();
    const size_t n = v.is(Kind::dict) ? entries.size() : v.sequence().items.size();
    for (size_t i = 0; i < n; ++i) {
      const bool last = i + 1 == n;
      if (i > 0) out += ",\n" + std::string(static_cast<size_t>(indent + 1), ' ');
      const int64_t after = last ? allowance + 1 + (v.is(Kind::tuple) && n == 1 ? 1 : 0) : 1;
      if (v.is(Kind::dict)) {
        const std::string key = repr(entries[i].first);
        out += key + ": ";
        write(entries[i].second, indent + 1 + count_chars(key) + 2, after);
      } else {
        write(v.sequence().items[i], indent + 1, after);
      }
      r_.heap().check(out.size());
    }
    if (v.is(Kind::tuple) && n == 1) out += ',';
    out += brackets[1];
  }

 private:
  std::vector<std::pair<Value, Value>> sorted_entries(const Value& v) {
    std::vector<Value> keys, places;
    bool same_kind = true;
    for (const auto& [key, value] : v.dict().entries) {
      same_kind = same_kind && key.kind() == v.dict().entries[0].first.kind();
      keys.push_back(key);
      places.push_back(Value(static_cast<int64_t>(places.size())));
    }
    if (same_kind && !keys.empty() && (keys[0].is_string() || keys[0].is_number()))
      places = r_.sorted(std::move(places), &keys, false);
    std::vector<std::pair<Value, Value>> out;
    for (const Value& p : places) out.push_back(v.dict().entries[static_cast<size_t>(p.integer())]);
    return out;
  }

  std::string repr(const Value& v) {
    if (v.is(Kind::dict)) {
      const Render::Deeper deeper(r_);
      std::string text = "{";
      for (const auto& [key, value] : sorted_entries(v)) {
        if (text.size() > 1) text += ", ";
        text += repr(key) + ": " + repr(value);
        r_.heap().check(text.size());
      }
      return text + "}";
    }
    if (!v.is_sequence()) return r_.repr(v);
    const Render::Deeper deeper(r_);
    std::string text(1, v.is(Kind::list) ? '[' : '(');
    const auto& items = v.sequence().items;
    for (size_t i = 0; i < items.size(); ++i) {
      text += (i > 0 ? ", " : "") + repr(items[i]);
      r_.heap().check(text.size());
    }
    if (v.is(Kind::tuple) && items.size() == 1) text += ',';
    return text + (v.is(Kind::list) ? ']' : ')');
  }

  Render& r_;
};

}  // namespace

Value pprint_filter(Render& r, const Value& v, Args& args) {
  bind_args(r, args, "pprint", {}, nullptr);
  PrettyPrinter printer(r);
  printer.write(v, 0, 0);
  return r.string(std::move(printer.out));
}

}  // namespace phial::tmpl
