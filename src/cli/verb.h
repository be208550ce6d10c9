// A verb of the command line: one file each, one line in verbs.cpp. A verb declares its flags, then asks flags.parse() whether
// it has something to do:
//
//   int doctor_verb(Flags& flags) {
//     flags.about("What this machine has.", "  phial doctor\n");
//     if (!flags.parse()) return 0;
#pragma once

#include <string>
#include <vector>

#include "flags.h"

namespace phial::cli {

struct Verb {
  std::string name;                      // "quantize"
  std::vector<std::string> llama_names;  // {"llama-quantize"}: the same binary called by that name
  std::string what;                      // one line for the list of verbs
  int (*run)(Flags& flags);
};

const std::vector<Verb>& verbs();
/// The verb of that name; nullptr = there is none.
const Verb* find_verb(const std::string& name);
/// The verb's flags, without running it.
FlagTable flag_table(const Verb& verb);

int run_verb(Flags& flags);
int convert_verb(Flags& flags);
int quantize_verb(Flags& flags);
int inspect_verb(Flags& flags);
int tokenize_verb(Flags& flags);
int logits_verb(Flags& flags);
int template_verb(Flags& flags);
int bench_verb(Flags& flags);
int perplexity_verb(Flags& flags);
int plan_verb(Flags& flags);
int doctor_verb(Flags& flags);
int completion_verb(Flags& flags);
int man_verb(Flags& flags);

}  // namespace phial::cli
