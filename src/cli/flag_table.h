// The flags of a verb as people see them: the one table that help, man pages and shell completion are printed from.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace phial::cli {

struct FlagSpec {
  std::vector<std::string> names;  // the long name first, then aliases
  std::string value;               // "FILE", "DIR", "N", "md|csv" (one of these words); "" = takes no value
  std::string fallback;            // the default; "" = none
  std::string example;             // a value to try
  std::string what;
  std::string group;
  bool optional_value = false;
};

struct FlagTable {
  std::string command;           // "run"
  std::string what;              // one or two sentences
  std::string examples;          // "  phial run -m phi.gguf\n"
  std::string positionals;       // "IN [OUT] TYPE [THREADS]"
  std::string positional_value;  // what completes them: "FILE", "DIR", "bash|zsh|fish"; "" = there are none
  std::vector<FlagSpec> flags;
  std::vector<std::pair<std::string, std::string>> sections;  // more for help and man page: title, lines
};

std::string joined(const std::vector<std::string>& words, const std::string& separator);
/// "a|b|c" -> {"a", "b", "c"}; a single word is no choice: {}.
std::vector<std::string> choices(const std::string& value);

/// "-c, --ctx-size N"
std::string flag_heading(const FlagSpec& spec);
/// "default 0, e.g. 8192"
std::string flag_hint(const FlagSpec& spec);
/// What `phial VERB --help` prints.
std::string help_text(const FlagTable& table);

}  // namespace phial::cli
