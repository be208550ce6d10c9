// A verb of the command line: one file each, one line in main.cpp.
#pragma once

#include <string>
#include <vector>

namespace phial::cli {

struct Verb {
  const char* name;        // "quantize"
  const char* llama_name;  // "llama-quantize", or nullptr: the same binary called by that name
  const char* what;        // one line for the list of verbs
  int (*run)(const std::vector<std::string>& args);
};

int run_verb(const std::vector<std::string>& args);
int convert_verb(const std::vector<std::string>& args);
int quantize_verb(const std::vector<std::string>& args);
int inspect_verb(const std::vector<std::string>& args);
int tokenize_verb(const std::vector<std::string>& args);
int logits_verb(const std::vector<std::string>& args);
int template_verb(const std::vector<std::string>& args);
int bench_verb(const std::vector<std::string>& args);
int doctor_verb(const std::vector<std::string>& args);

}  // namespace phial::cli
