// The one binary: `phial VERB ...`, or a llama.cpp name that is a link to it.
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <new>

#include "exit_codes.h"
#include "phial/error.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

std::string overview() {
  std::string text = "phial " PHIAL_VERSION ": a small bottle for a large model\n\nUsage: phial VERB [flags]\n\nVerbs:\n";
  for (const Verb& v : verbs())
    text += fmt::format("  {:<10} {}{}\n", v.name, v.what,
                        v.llama_names.empty() ? "" : fmt::format(" ({})", joined(v.llama_names, ", ")));
  text +=
      "\nphial VERB --help shows the flags of a verb and examples; phial man VERB prints its manual page.\n\nExamples:\n"
      "  phial convert ./Phi-3.5-mini-instruct -o phi.gguf --outtype q4_k_m\n"
      "  phial run -m phi.gguf\n"
      "\nExit codes:\n";
  for (const ExitCode& e : exit_codes()) text += fmt::format("  {:>3}  {}\n", e.code, e.what);
  return text;
}

int dispatch(const std::string& called_as, std::vector<std::string> args) {
  const Verb* verb = nullptr;
  for (const Verb& v : verbs())
    for (const std::string& name : v.llama_names)
      if (called_as == name) verb = &v;
  const bool by_llama_name = verb != nullptr;
  if (!by_llama_name && args.size() == 2 && args[0] == "help") args = {args[1], "--help"};
  if (!by_llama_name && (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help")) {
    fmt::print(args.empty() ? stderr : stdout, "{}", overview());
    return args.empty() ? 2 : 0;
  }
  if ((args.size() == 1 && args[0] == "--version") || (!by_llama_name && args[0] == "version")) {
    fmt::print("phial " PHIAL_VERSION "\n");
    return 0;
  }
  if (!by_llama_name) {
    verb = find_verb(args[0]);
    if (!verb) {
      std::vector<std::string> names;
      for (const Verb& v : verbs()) names.push_back(v.name);
      const std::string guess = nearest(args[0], names);
      throw Usage("no verb '" + args[0] + "'" + (guess.empty() ? "" : "; did you mean '" + guess + "'?") + "\nSee: phial --help");
    }
    args.erase(args.begin());
  }
  Flags flags(verb->name, args);
  return verb->run(flags);
}

}  // namespace
}  // namespace phial::cli

int main(int argc, char** argv) {
  using namespace phial::cli;
  signal(SIGPIPE, SIG_DFL);
  std::string called_as = argc > 0 ? argv[0] : "phial";
  called_as = called_as.substr(called_as.rfind('/') + 1);
  const char* red = style(2, kRed);
  const char* reset = style(2, kReset);
  try {
    return dispatch(called_as, {argv + std::min(argc, 1), argv + argc});
  } catch (const Usage& e) {
    fmt::print(stderr, "{}error:{} {}\n", red, reset, e.what());
    return 2;
  } catch (const phial::Error& e) {
    fmt::print(stderr, "{}error[{}]:{} {}\n", red, e.code_text(), reset, e.what());
    return phial::error_info(e.code()).exit_code;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}error[NOMEM]:{} out of memory; try a smaller --ctx-size or --mmap\n", red, reset);
    return 3;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}error[INTERNAL]:{} {}\n", red, reset, e.what());
    return 1;
  }
}
