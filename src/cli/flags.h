// The command line: a thin layer over CLI11 that adds llama.cpp's single-dash long names (-ngl), did-you-mean, and flags that are
// accepted or refused for the sake of people who come from llama.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "phial/engine.h"

namespace phial::cli {

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Flags {
 public:
  Flags(const std::string& command, const std::string& what, const std::string& examples);

  // names: "--ctx-size,-c": the first is the long name, the others are aliases (any number of dashes and letters).
  void text(const std::string& names, std::string& target, const std::string& value, const std::string& what);
  void integer(const std::string& names, int64_t& target, int64_t min, int64_t max, const std::string& what);
  void integer(const std::string& names, int& target, int min, int max, const std::string& what);
  void real(const std::string& names, float& target, const std::string& what);
  void toggle(const std::string& names, bool& target, const std::string& what, bool value = true);
  void list(const std::string& names, std::vector<std::string>& target, const std::string& value, const std::string& what);
  void positional(const std::string& name, std::string& target, bool required, const std::string& what);
  /// Known to llama.cpp's users; has no effect here. takes_value: its value is read and dropped.
  void accepted(const std::string& names, bool takes_value);
  /// Refused by name, with what to use instead.
  void refused(const std::string& names, const std::string& instead);

  /// Throws Usage with a text for people; sets help_wanted when --help was given.
  void parse(const std::vector<std::string>& args);
  bool help_wanted = false;
  std::string help() const;

  CLI::App& app() { return app_; }

 private:
  CLI::Option* add(const std::string& names, CLI::Option* option);
  std::string declare(const std::string& names);
  std::vector<std::string> normalize(const std::vector<std::string>& args) const;

  CLI::App app_;
  std::string command_, examples_;
  std::map<std::string, std::string> canonical_;  // every accepted spelling -> CLI11's long name
  std::map<std::string, bool> ignored_;           // spelling -> takes a value
  std::map<std::string, std::string> refused_;    // spelling -> what to use instead
};

/// Flags of every verb that runs a model.
void add_run_flags(Flags& flags, RunOptions& options);
/// llama.cpp's sampling flags.
void add_sampler_flags(Flags& flags, SamplerParams& params, std::string& seed_text);
/// Seed text ("-1" = random) into params.
void apply_seed(const std::string& seed_text, SamplerParams& params);

/// The nearest of the candidates, or "" when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// \n, \t, \\, \", \' and \xNN in a prompt, as llama-cli reads them.
std::string unescape(const std::string& text);

}  // namespace phial::cli
