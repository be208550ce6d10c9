// Declaring, normalizing and parsing flags.
#include "flags.h"

#include <fmt/core.h>

#include <algorithm>
#include <sstream>

#include "terminal.h"

namespace phial::cli {
namespace {

constexpr const char* kHelp = "--help";

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) out.push_back(part);
  return out;
}

/// Edits between two words; neighbours that changed places (-nlg for -ngl) are one edit.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

/// True for -x, -ngl, --name; false for "-", "-1", "-0.5" and plain words.
bool looks_like_flag(const std::string& arg) {
  return arg.size() > 1 && arg[0] == '-' && !(arg[1] >= '0' && arg[1] <= '9') && arg[1] != '.';
}

std::string without_dashes(const std::string& name) { return name.substr(std::min(name.size(), name.find_first_not_of('-'))); }

// CLI11's own checks would say "Could not convert" and "required INT:INT in [0 - 9] missing".
std::function<std::string(const std::string&)> whole_number(int64_t min, int64_t max) {
  return [min, max](const std::string& text) {
    int64_t value = 0;
    return CLI::detail::lexical_cast(text, value) && value >= min && value <= max
               ? std::string()
               : fmt::format("'{}' is not a whole number from {} to {}", text, min, max);
  };
}

std::string number(const std::string& text) {
  float value = 0;
  return CLI::detail::lexical_cast(text, value) ? "" : "'" + text + "' is not a number";
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string bare = without_dashes(word);
  std::string best;
  size_t best_distance = (bare.size() <= 4 ? 1 : std::max<size_t>(2, bare.size() / 3)) + 1;
  for (const std::string& c : candidates) {
    const size_t d = edit_distance(bare, without_dashes(c));
    if (d < best_distance && d < bare.size()) best_distance = d, best = c;
  }
  return best;
}

Flags::Flags(const std::string& command, std::optional<std::vector<std::string>> args) : args_(std::move(args)) {
  app_.set_help_flag();
  table_.command = command;
}

void Flags::about(const std::string& what, const std::string& examples) {
  table_.what = what;
  table_.examples = examples;
}

void Flags::section(const std::string& title, const std::string& lines) { table_.sections.emplace_back(title, lines); }

std::string Flags::declare(const std::string& names, const std::string& value, const std::string& fallback,
                           const std::string& example, const std::string& what) {
  FlagSpec spec{split(names, ','), value, fallback, example, what, group_};
  for (const std::string& name : spec.names) index_[name] = table_.flags.size();
  table_.flags.push_back(spec);
  return spec.names[0];
}

// What a flag sets is set in the order of the command line (trigger_on_parse), so that of two that contradict the last wins.
void Flags::text(const std::string& names, std::string& target, const std::string& value, const std::string& example,
                 const std::string& what) {
  app_.add_option(declare(names, value, target, example, what), target)->take_last()->trigger_on_parse();
}

void Flags::integer(const std::string& names, int64_t& target, int64_t min, int64_t max, const std::string& example,
                    const std::string& what) {
  app_.add_option(declare(names, "N", std::to_string(target), example, what), target)
      ->check(whole_number(min, max))
      ->take_last()
      ->trigger_on_parse();
}

void Flags::integer(const std::string& names, int& target, int min, int max, const std::string& example,
                    const std::string& what) {
  app_.add_option(declare(names, "N", std::to_string(target), example, what), target)
      ->check(whole_number(min, max))
      ->take_last()
      ->trigger_on_parse();
}

void Flags::real(const std::string& names, float& target, const std::string& example, const std::string& what) {
  app_.add_option(declare(names, "X", fmt::format("{}", target), example, what), target)
      ->check(number)
      ->take_last()
      ->trigger_on_parse();
}

void Flags::toggle(const std::string& names, bool& target, const std::string& what, bool value) {
  app_.add_flag_function(declare(names, "", "off", "", what), [&target, value](int64_t) { target = value; })->trigger_on_parse();
}

void Flags::list(const std::string& names, std::vector<std::string>& target, const std::string& value, const std::string& example,
                 const std::string& what) {
  app_.add_option(declare(names, value, "", example, what), target)
      ->allow_extra_args(false);  // one word per flag: what follows is positional
}

void Flags::comma_list(const std::string& names, std::string& target, const std::string& value, const std::string& example,
                       const std::string& what) {
  app_.add_option(declare(names, value, target, example, what), target)->join(',');
}

void Flags::action(const std::string& names, const std::string& value, const std::string& fallback, const std::string& example,
                   const std::string& what, const std::function<void(const std::string&)>& act, const std::string& bare) {
  const std::string name = declare(names, value, fallback, example, what);
  if (value.empty()) {
    app_.add_flag_function(name, [act](int64_t) { act(""); })->trigger_on_parse();
    return;
  }
  if (!bare.empty()) bare_[name] = bare;
  table_.flags.back().optional_value = !bare.empty();
  app_.add_option_function<std::vector<std::string>>(name,
                                                     [act](const std::vector<std::string>& values) {
                                                       for (const std::string& v : values) act(v);
                                                     })
      ->allow_extra_args(false)
      ->trigger_on_parse();
}

void Flags::positional(const std::string& usage, std::string& target, const std::string& value) {
  table_.positionals = usage;
  table_.positional_value = value;
  app_.add_option("word", target);
}

void Flags::positionals(const std::string& usage, std::vector<std::string>& target) {
  table_.positionals = usage;
  table_.positional_value = "FILE";
  app_.add_option("words", target);
}

void Flags::foreign(const std::string& names, const Foreign& answer) {
  for (const std::string& name : split(names, ',')) {
    if (name.back() == '*')
      foreign_prefixes_.emplace_back(name.substr(0, name.size() - 1), answer);
    else
      foreign_.insert_or_assign(name, answer);
  }
}

const Flags::Foreign* Flags::find_foreign(const std::string& name) const {
  if (const auto it = foreign_.find(name); it != foreign_.end()) return &it->second;
  for (const auto& [prefix, foreign] : foreign_prefixes_)
    if (name.compare(0, prefix.size(), prefix) == 0) return &foreign;
  return nullptr;
}

void Flags::accepted(const std::string& names, bool takes_value) { foreign(names, {Foreign::Answer::accept, takes_value, ""}); }

void Flags::noted(const std::string& names, bool takes_value, const std::string& why) {
  foreign(names, {Foreign::Answer::note, takes_value, why});
}

void Flags::refused(const std::string& names, const std::string& instead) {
  foreign(names, {Foreign::Answer::refuse, false, instead});
}

void Flags::answer(const std::string& name, const Foreign& foreign) const {
  if (foreign.answer == Foreign::Answer::refuse)
    throw Usage(name + " is not available in phial " + table_.command + ": " + foreign.text);
  if (foreign.answer == Foreign::Answer::note) note(name + " has no effect: " + foreign.text);
}

std::vector<std::string> Flags::normalize(const std::vector<std::string>& args) {
  std::vector<std::string> out;
  bool only_positionals = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (only_positionals || !looks_like_flag(arg) || arg == "--") {
      only_positionals = only_positionals || arg == "--";
      out.push_back(arg);
      continue;
    }
    const size_t equals = arg.compare(0, 2, "--") == 0 ? arg.find('=') : std::string::npos;
    const bool has_value = equals != std::string::npos;
    const std::string name = arg.substr(0, equals);
    // llama.cpp takes underscores for dashes.
    std::string dashed = name;
    if (dashed.compare(0, 2, "--") == 0) std::replace(dashed.begin(), dashed.end(), '_', '-');
    if (const auto known = index_.find(dashed); known != index_.end()) {
      const FlagSpec& spec = table_.flags[known->second];
      out.push_back(spec.names[0]);
      const auto words = choices(spec.value);
      const bool next_is_word = i + 1 < args.size() && std::find(words.begin(), words.end(), args[i + 1]) != words.end();
      help_wanted_ = help_wanted_ || spec.names[0] == kHelp;
      if (has_value && spec.value.empty()) throw Usage(name + " takes no value");
      if (spec.value.empty()) continue;
      if (!has_value && !spec.optional_value && i + 1 == args.size())
        throw Usage(name + " wants a value, for example: " + name + " " + spec.example);
      // The next word is taken as it is, so that "-n -1" and "-p -x" work.
      const std::string value = has_value                              ? arg.substr(equals + 1)
                                : spec.optional_value && !next_is_word ? bare_.at(spec.names[0])
                                                                       : args[++i];
      const auto meaning = meanings_.find({spec.names[0], value});
      out.push_back(meaning == meanings_.end() ? value : meaning->second);
      continue;
    }
    if (const Foreign* foreign = find_foreign(dashed)) {
      answer(dashed, *foreign);
      if (foreign->takes_value && !has_value && i + 1 < args.size() && !looks_like_flag(args[i + 1])) ++i;
      continue;
    }
    std::vector<std::string> names;
    for (const FlagSpec& spec : table_.flags) names.insert(names.end(), spec.names.begin(), spec.names.end());
    const std::string guess = nearest(dashed, names);
    throw Usage("unknown flag " + name + (guess.empty() ? "" : "; did you mean " + guess + "?") + "\nSee: phial " +
                table_.command + " --help");
  }
  return out;
}

bool Flags::parse() {
  group_ = "Help";
  toggle(std::string(kHelp) + ",-h,--usage", help_wanted_, "Print this text");
  if (!args_) return false;
  std::vector<std::string> normalized = normalize(*args_);
  if (help_wanted_) {
    fmt::print("{}", help_text(table_));
    return false;
  }
  std::reverse(normalized.begin(), normalized.end());
  try {
    app_.parse(normalized);
  } catch (const CLI::ParseError& e) {
    throw Usage(std::string(e.what()) + "\nSee: phial " + table_.command + " --help");
  }
  return true;
}

}  // namespace phial::cli
