// phial completion: scripts that complete verbs, flags and their values, from the tables of flags.
#include <fmt/core.h>

#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  source <(phial completion bash)                                   for this shell\n"
    "  phial completion zsh > ~/.zfunc/_phial                            a folder of $fpath\n"
    "  phial completion fish > ~/.config/fish/completions/phial.fish\n";

/// Every name of the program, and the verb it stands for ("" = the first word says it).
std::vector<std::pair<std::string, std::string>> program_names() {
  std::vector<std::pair<std::string, std::string>> out = {{"phial", ""}};
  for (const Verb& v : verbs())
    for (const std::string& name : v.llama_names) out.emplace_back(name, v.name);
  return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, what.size(), with);
  return text;
}

/// Bash commands that complete a value, before they `return`.
std::string bash_value(const std::string& value) {
  if (const auto words = choices(value); !words.empty())
    return fmt::format("COMPREPLY=($(compgen -W \"{}\" -- \"$cur\"))", joined(words, " "));
  if (value == "FILE") return "_phial_paths -f";
  if (value == "DIR") return "_phial_paths -d";
  return "COMPREPLY=()";
}

std::string bash_script() {
  std::string names, cases, programs, all;
  for (const auto& [program, verb] : program_names()) {
    all += " " + program;
    if (!verb.empty()) programs += fmt::format("    {}) verb={} ;;\n", program, verb);
  }
  for (const Verb& v : verbs()) {
    const FlagTable table = flag_table(v);
    names += (names.empty() ? "" : " ") + v.name;
    std::string flags, values;
    for (const FlagSpec& spec : table.flags) {
      flags += (flags.empty() ? "" : " ") + joined(spec.names, " ");
      if (!spec.value.empty())
        values += fmt::format("        {}) {}; return ;;\n", joined(spec.names, "|"), bash_value(spec.value));
    }
    cases += fmt::format(
        "    {})\n      case $prev in\n{}      esac\n      flags=\"{}\"\n      [[ $cur != -* ]] && {{ {}; return; }} ;;\n",
        v.name, values, flags, bash_value(table.positional_value));
  }
  return R"(# bash completion for phial; made by: phial completion bash
_phial_paths() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_phial() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb flags
  COMPREPLY=()
  # --flag=value comes as three words.
  [[ $cur == = ]] && cur=
  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
  case ${COMP_WORDS[0]##*/} in
)" + programs +
         R"(    *)
      verb=${COMP_WORDS[1]}
      if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W ")" +
         names + R"( --help --version" -- "$cur"))
        return
      fi ;;
  esac
  case $verb in
)" + cases +
         "  esac\n  COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n}\n\ncomplete -F _phial" + all + "\n";
}

/// Text between single quotes; characters that _arguments reads itself are escaped.
std::string zsh_quoted(std::string text) {
  for (const char* c : {"\\", ":", "[", "]"}) text = replaced(text, c, std::string("\\") + c);
  return replaced(text, "'", "'\\''");
}

std::string zsh_action(const std::string& value) {
  if (const auto words = choices(value); !words.empty()) return fmt::format("({})", joined(words, " "));
  if (value == "FILE") return "_files";
  if (value == "DIR") return "_files -/";
  return "";
}

std::string zsh_script() {
  std::string all, programs, described, cases;
  for (const auto& [program, verb] : program_names()) {
    all += " " + program;
    if (!verb.empty()) programs += fmt::format("    {}) verb={} ;;\n", program, verb);
  }
  for (const Verb& v : verbs()) {
    const FlagTable table = flag_table(v);
    described += fmt::format("        '{}:{}'\n", v.name, zsh_quoted(v.what));
    cases += fmt::format("    {})\n      _arguments", v.name);
    for (const FlagSpec& spec : table.flags)
      for (const std::string& name : spec.names) {
        const std::string value = spec.value.empty() ? ""
                                                     : fmt::format("{}{}:{}", spec.optional_value ? "::" : ":",
                                                                   zsh_quoted(spec.value), zsh_action(spec.value));
        cases += fmt::format(" \\\n        '*{}[{}]{}'", name, zsh_quoted(spec.what), value);
      }
    if (!table.positionals.empty())
      cases += fmt::format(" \\\n        '*:{}:{}'", zsh_quoted(table.positionals), zsh_action(table.positional_value));
    cases += " ;;\n";
  }
  return "#compdef" + all + R"(
# zsh completion for phial; made by: phial completion zsh
_phial() {
  local verb
  case ${words[1]:t} in
)" + programs +
         R"(    *)
      if (( CURRENT == 2 )); then
        local -a verbs=(
)" + described +
         R"(        )
        _describe verb verbs
        return
      fi
      verb=${words[2]}
      shift words
      (( CURRENT-- )) ;;
  esac
  case $verb in
)" + cases +
         "  esac\n}\n\n# Loaded as a function of $fpath, or by source.\nif [[ ${funcstack[1]} == _phial ]]; then\n  _phial "
         "\"$@\"\nelse\n  compdef _phial" +
         all + "\nfi\n";
}

std::string fish_quoted(const std::string& text) { return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'"; }

/// What a value is completed with, as arguments of fish's complete.
std::string fish_value(const std::string& value) {
  if (const auto words = choices(value); !words.empty()) return " -x -a " + fish_quoted(joined(words, " "));
  if (value == "FILE") return " -r -F";
  if (value == "DIR") return " -x -a '(__fish_complete_directories)'";
  return value.empty() ? "" : " -x";
}

std::string fish_flags(const std::string& begin, const FlagTable& table) {
  std::string text;
  for (const FlagSpec& spec : table.flags)
    for (const std::string& name : spec.names) {
      const bool is_long = name.compare(0, 2, "--") == 0;
      text +=
          fmt::format("{} {} {} -d {}{}\n", begin,
                      is_long            ? "-l"
                      : name.size() == 2 ? "-s"
                                         : "-o",
                      name.substr(is_long ? 2 : 1), fish_quoted(spec.what), spec.optional_value ? "" : fish_value(spec.value));
    }
  if (const auto words = choices(table.positional_value); !words.empty())
    text += fmt::format("{} -a {}\n", begin, fish_quoted(joined(words, " ")));
  else if (!table.positionals.empty())
    text += begin + " -F\n";
  return text;
}

std::string fish_script() {
  std::string text = "# fish completion for phial; made by: phial completion fish\n";
  for (const auto& [program, verb] : program_names()) {
    text += fmt::format("complete -c {} -f\n", program);
    if (!verb.empty()) text += fish_flags("complete -c " + program, flag_table(*find_verb(verb)));
  }
  for (const Verb& v : verbs()) {
    text += fmt::format("complete -c phial -n __fish_use_subcommand -a {} -d {}\n", v.name, fish_quoted(v.what));
    text += fish_flags(fmt::format("complete -c phial -n '__fish_seen_subcommand_from {}'", v.name), flag_table(v));
  }
  return text;
}

}  // namespace

int completion_verb(Flags& flags) {
  std::string shell;
  flags.about("Prints a script that completes verbs, flags and values in a shell.", kExamples);
  flags.positional("bash|zsh|fish", shell, "bash|zsh|fish");
  if (!flags.parse()) return 0;
  if (shell == "bash")
    fmt::print("{}", bash_script());
  else if (shell == "zsh")
    fmt::print("{}", zsh_script());
  else if (shell == "fish")
    fmt::print("{}", fish_script());
  else
    throw Usage(shell.empty() ? "the shell is missing: phial completion bash, zsh or fish"
                              : "no completion for '" + shell + "': bash, zsh or fish");
  return 0;
}

}  // namespace phial::cli
