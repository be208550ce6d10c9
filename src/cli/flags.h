// The command line of a verb: declared once, parsed by CLI11, and kept as the table that help, man pages and completion print.
// Adds to CLI11 llama.cpp's single-dash long names (-ngl), did-you-mean, and answers for llama.cpp's flags that are not ours.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "flag_table.h"

namespace phial::cli {

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Flags {
 public:
  /// Without arguments only the table is wanted: parse() then returns false at once.
  Flags(const std::string& command, std::optional<std::vector<std::string>> args);

  void about(const std::string& what, const std::string& examples);
  /// Lines after the flags in help and man page.
  void section(const std::string& title, const std::string& lines);
  /// The title above the flags declared from here on.
  void group(const std::string& title) { group_ = title; }

  // names: "--ctx-size,-c": the first is the long name, the others are aliases (any number of dashes and letters).
  // example: a value to try. value: what the value is, see FlagSpec.
  void text(const std::string& names, std::string& target, const std::string& value, const std::string& example,
            const std::string& what);
  void integer(const std::string& names, int64_t& target, int64_t min, int64_t max, const std::string& example,
               const std::string& what);
  void integer(const std::string& names, int& target, int min, int max, const std::string& example, const std::string& what);
  void real(const std::string& names, float& target, const std::string& example, const std::string& what);
  void toggle(const std::string& names, bool& target, const std::string& what, bool value = true);
  /// May be given several times.
  void list(const std::string& names, std::vector<std::string>& target, const std::string& value, const std::string& example,
            const std::string& what);
  /// Comma-separated; given several times, the lists are joined.
  void comma_list(const std::string& names, std::string& target, const std::string& value, const std::string& example,
                  const std::string& what);
  /// Does something with each value that is given, while parsing. value "" = takes none; bare = what a value that was left out
  /// means (then only one of the words of `value` is taken as a value).
  void action(const std::string& names, const std::string& value, const std::string& fallback, const std::string& example,
              const std::string& what, const std::function<void(const std::string&)>& act, const std::string& bare = "");
  /// `word` given to the flag stands for `value`: -ngl all.
  void meaning(const std::string& name, const std::string& word, const std::string& value) { meanings_[{name, word}] = value; }
  /// The words that are no flags; `usage` names them. value: "FILE", "DIR" or a choice, for completion.
  void positional(const std::string& usage, std::string& target, const std::string& value);
  void positionals(const std::string& usage, std::vector<std::string>& target);

  // Flags of llama.cpp that are not ours; a flag that the verb declares comes before them. A name that ends in * stands for all
  // that begin so.
  /// What the flag asks for is what happens anyway. takes_value: its value is read and dropped.
  void accepted(const std::string& names, bool takes_value);
  /// Has no effect, which one line on standard error says.
  void noted(const std::string& names, bool takes_value, const std::string& why);
  /// Refused by name, with what to use instead.
  void refused(const std::string& names, const std::string& instead);

  /// Reads the arguments into the targets. False: nothing is to be run (help was asked for and printed, or there are no
  /// arguments). Throws Usage with a text for people.
  bool parse();
  bool given(const std::string& long_name) const { return app_.count(long_name) > 0; }
  const FlagTable& table() const { return table_; }

 private:
  struct Foreign {
    enum class Answer { accept, note, refuse } answer;
    bool takes_value;
    std::string text;
  };
  std::string declare(const std::string& names, const std::string& value, const std::string& fallback, const std::string& example,
                      const std::string& what);
  void foreign(const std::string& names, const Foreign& answer);
  const Foreign* find_foreign(const std::string& name) const;
  /// Every flag by its long name, each followed by its value; foreign flags answered and left out.
  std::vector<std::string> normalize(const std::vector<std::string>& args);
  void answer(const std::string& name, const Foreign& foreign) const;

  CLI::App app_;
  std::optional<std::vector<std::string>> args_;
  FlagTable table_;
  std::string group_ = "Flags";
  bool help_wanted_ = false;
  std::map<std::string, std::string> bare_;  // long name -> what it means without a value
  std::map<std::string, size_t> index_;      // every accepted spelling -> its row in the table
  std::map<std::string, Foreign> foreign_;
  std::vector<std::pair<std::string, Foreign>> foreign_prefixes_;
  std::map<std::pair<std::string, std::string>, std::string> meanings_;  // long name and word -> value
};

/// The nearest of the candidates, or "" when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace phial::cli
