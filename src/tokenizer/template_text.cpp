// Values as text: Python's str and repr, HTML escaping, json.dumps.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  // d.ddde+XX, the shortest digits that read back the same.
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const char* number = text.data() + e + 1;
  if (*number == '+') ++number;
  std::from_chars(number, text.data() + text.size(), exponent);
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (n > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (exponent >= n - 1) return out + digits + std::string(static_cast<size_t>(exponent - n + 1), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string string_repr(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos, twice = text.find('"') != std::string_view::npos;
  const char quote = single && !twice ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_char(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += text.substr(from, at - from);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  return out + quote;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Render::escaped(const Value& v) {
  if (is_markup(v)) return v.text();
  const std::string plain = text(v);
  heap_.check(plain.size() * 5);
  work(plain.size());
  return escape_html(plain);
}

int64_t Render::n_chars(const Value& v) {
  StringObject& s = v.string();
  if (s.n_chars < 0) {
    work(s.text.size());
    s.n_chars = count_chars(s.text);
  }
  return s.n_chars;
}

std::string Render::text(const Value& v) {
  switch (v.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return "";
    case Kind::string:
      work(v.text().size());
      return v.text();
    default:
      return repr(v);
  }
}

std::string Render::repr(const Value& v) {
  step();
  struct Showing {
    Showing(std::vector<const Object*>& list, const Value& v)
        : list(list), is_container(v.is_sequence() || v.is(Kind::dict) || v.is(Kind::name_space)) {
      if (!is_container) return;
      again = std::find(list.begin(), list.end(), v.object()) != list.end();
      list.push_back(v.object());
    }
    ~Showing() {
      if (is_container) list.pop_back();
    }
    std::vector<const Object*>& list;
    bool is_container, again = false;
  } showing(shown_, v);
  if (showing.again)
    return v.is(Kind::list) ? "[...]" : v.is(Kind::tuple) ? "(...)" : v.is(Kind::dict) ? "{...}" : "<Namespace {...}>";
  switch (v.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "None";
    case Kind::boolean:
      return v.boolean() ? "True" : "False";
    case Kind::integer:
      return fmt::format("{}", v.integer());
    case Kind::floating:
      return float_repr(v.floating());
    case Kind::string: {
      work(v.text().size());
      heap_.check(v.text().size());
      return v.string().markup ? "Markup(" + string_repr(v.text()) + ")" : string_repr(v.text());
    }
    case Kind::list:
    case Kind::tuple: {
      const Deeper deeper(*this);
      const bool is_list = v.is(Kind::list);
      const auto& items = v.sequence().items;
      std::string out(1, is_list ? '[' : '(');
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ", ";
        out += repr(items[i]);
        heap_.check(out.size());
      }
      if (!is_list && items.size() == 1) out += ',';
      return out + (is_list ? ']' : ')');
    }
    case Kind::dict: {
      const Deeper deeper(*this);
      std::string out = "{";
      for (const auto& [key, value] : v.dict().entries) {
        if (out.size() > 1) out += ", ";
        out += repr(key);
        out += ": ";
        out += repr(value);
        heap_.check(out.size());
      }
      return out + "}";
    }
    case Kind::range: {
      const auto& r = v.as<RangeObject>();
      return r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop)
                         : fmt::format("range({}, {}, {})", r.start, r.stop, r.step);
    }
    case Kind::view: {
      const Deeper deeper(*this);
      return fmt::format("{}({})", type_name(v), repr(list(collect(v))));
    }
    case Kind::name_space: {
      const Deeper deeper(*this);
      std::string out = "<Namespace {";
      bool first = true;
      for (const auto& [name, value] : v.as<NamespaceObject>().entries) {
        if (!first) out += ", ";
        first = false;
        out += string_repr(name) + ": " + repr(value);
        heap_.check(out.size());
      }
      return out + "}>";
    }
    case Kind::macro:
      return fmt::format("<Macro {}>", string_repr(v.as<MacroObject>().stmt->text));
    case Kind::loop: {
      auto& loop = v.as<LoopObject>();
      return fmt::format("<LoopContext {}/{}>", loop.index0 + 1, loop.length(*this));
    }
    case Kind::function:
      return fmt::format("<built-in method {}>", v.as<FunctionObject>().name);
    case Kind::iterator:
      return fmt::format("<{} object>", type_name(v));
    case Kind::block:
      if (!v.as<BlockObject>().stmt) return "<TemplateReference None>";
      return "<BlockReference object>";
    case Kind::cycler:
    case Kind::joiner:
      return fmt::format("<{} object>", type_name(v));
  }
  return "";
}

// ---- JSON

namespace {

class JsonWriter {
 public:
  JsonWriter(Render& render, bool ascii, bool sorted, const std::string* indent, std::string item_separator,
             std::string key_separator)
      : render_(render),
        ascii_(ascii),
        sorted_(sorted),
        indent_(indent),
        item_separator_(std::move(item_separator)),
        key_separator_(std::move(key_separator)) {}

  void write(const Value& v) {
    render_.step();
    switch (v.kind()) {
      case Kind::none:
        out += "null";
        break;
      case Kind::boolean:
        out += v.boolean() ? "true" : "false";
        break;
      case Kind::integer:
        out += fmt::format("{}", v.integer());
        break;
      case Kind::floating:
        out += number(v.floating());
        break;
      case Kind::string:
        string(v.text());
        break;
      case Kind::list:
      case Kind::tuple:
        sequence(v.sequence().items);
        break;
      case Kind::dict:
        dict(v.dict());
        break;
      default:
        render_.error("Object of type {} is not JSON serializable", type_name(v));
    }
    render_.heap().check(out.size());
  }

  std::string out;

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return float_repr(d);
  }

  void line() {
    if (!indent_) return;
    out += '\n';
    for (int i = 0; i < level_; ++i) out += *indent_;
    render_.heap().check(out.size());
  }

  void sequence(const std::vector<Value>& items) {
    const Render::Deeper deeper(render_);
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += item_separator_;
      line();
      write(items[i]);
    }
    --level_;
    line();
    out += ']';
  }

  std::string key(const Value& k) {
    switch (k.kind()) {
      case Kind::string:
        return k.text();
      case Kind::none:
        return "null";
      case Kind::boolean:
        return k.boolean() ? "true" : "false";
      case Kind::integer:
        return fmt::format("{}", k.integer());
      case Kind::floating:
        return number(k.floating());
      default:
        render_.error("keys must be str, int, float, bool or None, not {}", type_name(k));
    }
  }

  void dict(const DictObject& d) {
    const Render::Deeper deeper(render_);
    if (d.entries.empty()) {
      out += "{}";
      return;
    }
    std::vector<size_t> order(d.entries.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (sorted_) {
      std::vector<Value> keys, places;
      for (size_t i = 0; i < order.size(); ++i) {
        keys.push_back(d.entries[i].first);
        places.push_back(Value(static_cast<int64_t>(i)));
      }
      places = render_.sorted(std::move(places), &keys, false);
      for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<size_t>(places[i].integer());
    }
    out += '{';
    ++level_;
    bool first = true;
    for (const size_t i : order) {
      if (!first) out += item_separator_;
      first = false;
      line();
      string(key(d.entries[i].first));
      out += key_separator_;
      write(d.entries[i].second);
    }
    --level_;
    line();
    out += '}';
  }

  void unicode(uint32_t c) {
    if (c >= 0x10000) {
      c -= 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
    } else {
      out += fmt::format("\\u{:04x}", c);
    }
  }

  void string(std::string_view text) {
    render_.work(text.size());
    render_.heap().check(out.size() + text.size());
    out += '"';
    for (size_t at = 0; at < text.size();) {
      const char c = text[at];
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\f':
          out += "\\f";
          break;
        case '\b':
          out += "\\b";
          break;
        default:
          if (static_cast<unsigned char>(c) < 0x20 || (ascii_ && c == 0x7F)) {
            unicode(static_cast<unsigned char>(c));
          } else if (ascii_ && static_cast<unsigned char>(c) >= 0x80) {
            unicode(next_char(text, at));
            continue;
          } else {
            out += c;
          }
      }
      ++at;
    }
    out += '"';
  }

  Render& render_;
  bool ascii_, sorted_;
  const std::string* indent_;
  std::string item_separator_, key_separator_;
  int level_ = 0;
};

}  // namespace

Value to_json(Render& r, const Value& input, Args& args) {
  Value a[4];  // Hugging Face's filter: ensure_ascii, indent, separators, sort_keys
  bind_args(r, args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, a);
  std::string indent;
  bool indented = false;
  if (!a[1].is_missing() && !a[1].is_none()) {
    indented = true;
    if (a[1].is_integral()) {
      const int64_t n = std::max<int64_t>(a[1].integer(), 0);
      r.heap().check(static_cast<size_t>(n));
      indent.assign(static_cast<size_t>(n), ' ');
    } else if (a[1].is_string()) {
      indent = a[1].text();
    } else {
      r.type_error("cannot be an indent", a[1]);
    }
  }
  std::string item_separator = indented ? "," : ", ", key_separator = ": ";
  if (!a[2].is_missing() && !a[2].is_none()) {
    const std::vector<Value> pair = r.collect(a[2]);
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) r.error("separators must be two strings");
    item_separator = pair[0].text();
    key_separator = pair[1].text();
  }
  JsonWriter writer(r, !a[0].is_missing() && r.truth(a[0]), !a[3].is_missing() && r.truth(a[3]), indented ? &indent : nullptr,
                    item_separator, key_separator);
  writer.write(input);
  return r.string(std::move(writer.out));
}

}  // namespace phial::tmpl
