// Jinja's urlize filter: web and mail addresses in a text become links. What counts as one is in Jinja's documentation and
// the behaviour of jinja2 3.1.6.
#include <algorithm>

#include "tokenizer/template_filters.h"
#include "tokenizer/template_unicode.h"

namespace phial::tmpl {
namespace {

bool starts(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }
bool ends(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && text.substr(text.size() - with.size()) == with;
}

/// `test` holds for every character, and there are `least` to `most` of them.
template <typename F>
bool all(std::string_view text, int64_t least, int64_t most, F&& test) {
  const int64_t n = count_chars(text);
  if (n < least || n > most) return false;
  for (size_t at = 0; at < text.size();) {
    if (!test(next_char(text, at))) return false;
  }
  return true;
}

bool is_label_char(char32_t c) { return is_word(c) || c == '%' || c == '-'; }
bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_ip(std::string_view host) {
  if (starts(host, "[") && ends(host, "]")) {
    const auto groups = parts_of(host.substr(1, host.size() - 2), ':');
    const auto is_hex = [](char32_t c) { return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
    return groups.size() >= 3 && groups.size() <= 9 &&
           std::all_of(groups.begin(), groups.end(), [&](std::string_view g) { return all(g, 0, 4, is_hex); });
  }
  const auto bytes = parts_of(host, '.');
  return bytes.size() == 4 &&
         std::all_of(bytes.begin(), bytes.end(), [](std::string_view b) { return all(b, 1, 3, is_ascii_digit); });
}

bool is_web_address(std::string_view word) {
  const std::string folded = lower(word);
  const bool has_scheme = starts(folded, "http://") || starts(folded, "https://"), has_www = starts(folded, "www.");
  std::string_view rest = word;
  if (has_scheme) rest.remove_prefix(folded.find("//") + 2);
  if (has_www) rest.remove_prefix(4);
  const size_t path = std::min(rest.find_first_of("/?#"), rest.size());
  for (size_t at = path; at < rest.size();) {
    if (is_space(next_char(rest, at))) return false;
  }
  std::string_view host = rest.substr(0, path);
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && !ends(host, "]")) {
    if (!all(host.substr(colon + 1), 1, 5, is_ascii_digit)) return false;
    host = host.substr(0, colon);
  }
  if (has_scheme && is_ip(host)) return true;
  const auto labels = parts_of(host, '.');
  for (size_t i = 0; i + 1 < labels.size(); ++i) {
    if (!all(labels[i], 1, INT64_MAX, is_label_char)) return false;
  }
  const std::string_view top = labels.back();
  if (has_scheme || has_www) {
    return all(top, 2, 63, is_letter) ||
           (starts(lower(top), "xn--") && all(top.substr(4), 2, 59, [](char32_t c) { return is_word(c) || c == '%'; }));
  }
  constexpr std::string_view kTop[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
  if (labels.size() < 2 || std::find(std::begin(kTop), std::end(kTop), lower(top)) == std::end(kTop)) return false;
  return std::all_of(labels.begin(), labels.end() - 1, [](std::string_view l) { return all(l, 2, 63, is_label_char); });
}

bool is_mail_address(std::string_view word) {
  const size_t at = word.rfind('@');
  if (at == std::string_view::npos || at == 0) return false;
  const std::string_view domain = word.substr(at + 1);
  const size_t dot = domain.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || !all(domain.substr(dot + 1), 1, INT64_MAX, is_word)) return false;
  size_t first = 0;
  return is_word(next_char(domain, first)) &&
         all(domain.substr(0, dot), 1, INT64_MAX, [](char32_t c) { return is_word(c) || c == '.' || c == '-'; });
}

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++n;
  return n;
}

struct Word {
  std::string head, middle, tail;
};

/// Brackets before and punctuation behind are not part of an address, except brackets that close one opened inside.
Word split_word(std::string_view word) {
  Word w;
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view open : {"(", "<", "&lt;"}) {
      if (!starts(word, open)) continue;
      w.head += open;
      word.remove_prefix(open.size());
      more = true;
    }
  }
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view close : {")", ">", ".", ",", "\n", "&gt;"}) {
      if (!ends(word, close)) continue;
      w.tail.insert(0, close);
      word.remove_suffix(close.size());
      more = true;
    }
  }
  w.middle = word;
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
  for (const auto& [open, close] : kPairs) {
    const size_t opened = count(w.middle, open);
    if (opened <= count(w.middle, close)) continue;
    for (size_t n = std::min(opened, count(w.tail, close)); n > 0; --n) {
      const size_t end = w.tail.find(close) + close.size();
      w.middle += w.tail.substr(0, end);
      w.tail.erase(0, end);
    }
  }
  return w;
}

}  // namespace

Value urlize_filter(Render& r, const Value& v, Args& args) {
  Value a[5];
  bind_args(r, args, "urlize", {"trim_url_limit", "nofollow", "target", "rel", "extra_schemes"}, a);
  const auto given = [](const Value& x) { return !x.is_missing() && !x.is_none(); };
  const int64_t limit = given(a[0]) ? integer_argument(r, a[0], 0) : INT64_MAX;
  std::vector<std::string> rel = {"noopener"};
  if (!a[1].is_missing() && r.truth(a[1])) rel.push_back("nofollow");
  if (given(a[3])) {
    const Value words = call_method(r, a[3], "split");
    for (const Value& word : words.sequence().items) rel.push_back(word.text());
  }
  std::sort(rel.begin(), rel.end());
  rel.erase(std::unique(rel.begin(), rel.end()), rel.end());
  std::string attributes = " rel=\"";
  for (size_t i = 0; i < rel.size(); ++i) {
    if (i > 0) attributes += ' ';
    attributes += escape_html(rel[i]);
  }
  attributes += '"';
  if (given(a[2]) && r.truth(a[2])) attributes += " target=\"" + r.escaped(a[2]) + "\"";
  const std::vector<Value> schemes = given(a[4]) ? r.collect(a[4]) : std::vector<Value>();
  const std::string text = r.escaped(v);
  r.work(text.size() * 8);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const bool space = is_space(next_char(text, at));
    for (size_t next = at; at < text.size(); at = next) {
      if (is_space(next_char(text, next)) != space) break;
    }
    const std::string_view piece = std::string_view(text).substr(begin, at - begin);
    if (space) {
      out += piece;
      continue;
    }
    const Word w = split_word(piece);
    std::string link;
    const auto web = [&](const std::string& href) {
      std::string shown = w.middle;
      if (count_chars(shown) > limit) shown = shown.substr(0, byte_offset(shown, limit)) + "...";
      return "<a href=\"" + href + "\"" + attributes + ">" + shown + "</a>";
    };
    if (is_web_address(w.middle)) {
      link = web(starts(w.middle, "https://") || starts(w.middle, "http://") ? w.middle : "https://" + w.middle);
    } else if (starts(w.middle, "mailto:") && is_mail_address(std::string_view(w.middle).substr(7))) {
      link = "<a href=\"" + w.middle + "\">" + w.middle.substr(7) + "</a>";
    } else if (!starts(w.middle, "www.") && !starts(w.middle, "@") && w.middle.find(':') == std::string::npos &&
               is_mail_address(w.middle)) {
      link = "<a href=\"mailto:" + w.middle + "\">" + w.middle + "</a>";
    } else {
      link = w.middle;
      for (const Value& scheme : schemes) {
        if (!scheme.is_string()) r.error("expected string or bytes-like object, got '{}'", type_name(scheme));
        if (w.middle == scheme.text() || !starts(link, scheme.text())) continue;
        link = "<a href=\"" + link + "\"" + attributes + ">" + link + "</a>";
      }
    }
    out += w.head + link + w.tail;
    r.heap().check(out.size());
  }
  return r.string(std::move(out), r.autoescape());
}

}  // namespace phial::tmpl
