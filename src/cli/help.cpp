// The text of --help: usage, flags in two columns with default and example, more sections, examples.
#include <fmt/core.h>

#include <sstream>

#include "flag_table.h"

namespace phial::cli {
namespace {

constexpr size_t kColumn = 34, kWidth = 110;

/// `text` in lines of at most kWidth, all but the first indented to kColumn.
std::string wrapped(const std::string& text) {
  std::string out, line;
  std::stringstream words(text);
  for (std::string word; words >> word;) {
    if (!line.empty() && kColumn + line.size() + 1 + word.size() > kWidth) {
      out += line + "\n" + std::string(kColumn, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line + "\n";
}

}  // namespace

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : separator) + word;
  return out;
}

std::vector<std::string> choices(const std::string& value) {
  std::vector<std::string> words;
  std::stringstream stream(value);
  for (std::string word; std::getline(stream, word, '|');) {
    // "N(M|G)" is a pattern, no choice.
    if (word.find_first_of("()[] ,=") != std::string::npos) return {};
    words.push_back(word);
  }
  return words.size() > 1 ? words : std::vector<std::string>{};
}

std::string flag_heading(const FlagSpec& spec) {
  std::string shorts, longs;
  for (const std::string& name : spec.names) {
    std::string& names = name.compare(0, 2, "--") == 0 ? longs : shorts;
    names += (names.empty() ? "" : ", ") + name;
  }
  const std::string names = shorts + (shorts.empty() || longs.empty() ? "" : ", ") + longs;
  if (spec.value.empty()) return names;
  return names + (spec.optional_value ? " [" + spec.value + "]" : " " + spec.value);
}

std::string flag_hint(const FlagSpec& spec) {
  std::string text = "default " + (spec.fallback.empty() ? "none" : spec.fallback);
  if (!spec.example.empty()) text += ", e.g. " + spec.example;
  return text;
}

std::string help_text(const FlagTable& table) {
  std::string text = table.what + "\n\nUsage: phial " + table.command + " [flags]" +
                     (table.positionals.empty() ? "" : " " + table.positionals) + "\n";
  std::string group;
  for (const FlagSpec& spec : table.flags) {
    if (spec.group != group) text += "\n" + spec.group + ":\n";
    group = spec.group;
    std::string left = "  " + flag_heading(spec);
    const bool fits = left.size() + 2 <= kColumn;
    if (!fits) left += "\n";
    left.append(fits ? kColumn - left.size() : kColumn, ' ');
    text += left + wrapped(spec.what + " [" + flag_hint(spec) + "]");
  }
  for (const auto& [title, lines] : table.sections) text += "\n" + title + ":\n" + lines;
  return text + "\nExamples:\n" + table.examples;
}

}  // namespace phial::cli
