// A verb of the command line: one file each, one line in verbs.cpp. A verb declares its flags, then asks flags.parse() whether
// it has something to do:
//
//   int doctor_verb(Flags& flags) {
//     flags.about("What this machine has.", "  phial doctor\n");
//     if (!flags.parse()) return 0;
#pragma once

#include <span>

#include "flags.h"

namespace phial::cli {

struct Verb {
  const char* name;        // "quantize"
  const char* llama_name;  // "llama-quantize", or nullptr: the same binary called by that name
  const char* what;        // one line for the list of verbs
  int (*run)(Flags& flags);
};

std::span<const Verb> verbs();
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
int doctor_verb(Flags& flags);

}  // namespace phial::cli
