// phial man: manual pages in roff, from the tables of flags.
#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "exit_codes.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial man run | man -l -            read the page of phial run\n"
    "  phial man --all share/man/man1      write every page into a folder\n";

/// Text that roff prints as it stands.
std::string roff(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((i == 0 || text[i - 1] == '\n') && (text[i] == '.' || text[i] == '\'')) out += "\\&";
    if (text[i] == '\\')
      out += "\\e";
    else if (text[i] == '-')
      out += "\\-";
    else
      out += text[i];
  }
  return out;
}

std::string heading(const std::string& name, const std::string& what) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(".TH {} 1 \"" PHIAL_DATE "\" \"phial " PHIAL_VERSION
                     "\" \"User Commands\"\n.ad l\n.nh\n.SH NAME\n{} \\- {}\n",
                     upper, roff(name), roff(what));
}

/// A paragraph in short lines, as roff likes its input.
std::string filled(const std::string& text) {
  std::string out, line;
  std::stringstream words(text);
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > 64) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return roff(out + line) + "\n";
}

/// Lines that keep their breaks.
std::string verbatim(const std::string& lines) { return ".nf\n" + roff(lines) + ".fi\n"; }

std::string exit_status() {
  std::string text = ".SH EXIT STATUS\n";
  for (const ExitCode& e : exit_codes()) {
    const std::string errors = e.errors.empty() ? "" : "; error[CODE] with CODE one of " + joined(e.errors, ", ");
    text += fmt::format(".TP\n.B {}\n{}", e.code, filled(e.what + errors));
  }
  return text;
}

std::string verb_page(const Verb& verb) {
  const FlagTable table = flag_table(verb);
  const std::string tail = table.positionals.empty() ? "" : " " + table.positionals;
  std::string text = heading("phial-" + verb.name, verb.what);
  text += fmt::format(".SH SYNOPSIS\n.B phial {}\n[flags]{}\n", verb.name, roff(tail));
  for (const std::string& name : verb.llama_names) text += fmt::format(".br\n.B {}\n[flags]{}\n", roff(name), roff(tail));
  text += ".SH DESCRIPTION\n" + filled(table.what);
  std::string group;
  for (const FlagSpec& spec : table.flags) {
    if (spec.group != group) text += (group.empty() ? ".SH OPTIONS\n.SS " : ".SS ") + roff(spec.group) + "\n";
    group = spec.group;
    text += ".TP\n.B " + roff(flag_heading(spec)) + "\n" + filled(spec.what + " [" + flag_hint(spec) + "]");
  }
  for (const auto& [title, lines] : table.sections) {
    std::string upper = title;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    text += ".SH " + roff(upper) + "\n" + verbatim(lines);
  }
  return text + ".SH EXAMPLES\n" + verbatim(table.examples) + exit_status() + ".SH SEE ALSO\n.BR phial (1)\n";
}

std::string overview_page() {
  std::string text = heading("phial", "convert, quantize and run language models");
  text += ".SH SYNOPSIS\n.B phial\nVERB [flags]\n.SH DESCRIPTION\nEach verb has a page of its own.\n";
  for (const Verb& v : verbs()) {
    const std::string names = v.llama_names.empty() ? "" : " (also called " + joined(v.llama_names, ", ") + ")";
    text += fmt::format(".TP\n.BR phial\\-{} (1)\n{}", v.name, filled(v.what + names));
  }
  text += ".SH EXAMPLES\n" +
          verbatim("  phial convert ./Phi-3.5-mini-instruct -o phi.gguf --outtype q4_k_m\n  phial run -m phi.gguf\n");
  return text + exit_status();
}

void write_page(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Usage("cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

int man_verb(Flags& flags) {
  std::string name, folder;
  bool llama_names = false;
  flags.about("Prints the manual page of a verb, or of phial itself, for man(1).", kExamples);
  std::string names;
  for (const Verb& v : verbs()) names += (names.empty() ? "" : "|") + v.name;
  flags.positional("[VERB]", name, names);
  flags.text("--all", folder, "DIR", "share/man/man1", "Write all pages into a folder instead, with links for llama.cpp's names");
  flags.toggle("--llama-names", llama_names, "Print the names of llama.cpp that phial answers to");
  if (!flags.parse()) return 0;
  if (llama_names) {
    for (const Verb& v : verbs())
      for (const std::string& llama : v.llama_names) fmt::print("{}\n", llama);
    return 0;
  }
  if (!folder.empty()) {
    write_page(folder + "/phial.1", overview_page());
    for (const Verb& v : verbs()) {
      write_page(fmt::format("{}/phial-{}.1", folder, v.name), verb_page(v));
      for (const std::string& llama : v.llama_names)
        write_page(fmt::format("{}/{}.1", folder, llama), fmt::format(".so man1/phial-{}.1\n", v.name));
    }
    return 0;
  }
  const Verb* verb = find_verb(name);
  if (!name.empty() && !verb) throw Usage("no verb '" + name + "'; one of " + names);
  fmt::print("{}", verb ? verb_page(*verb) : overview_page());
  return 0;
}

}  // namespace phial::cli
