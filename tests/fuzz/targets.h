// What the fuzzers and the mutation tool run: each target takes bytes of one kind of input, uses what it gives in every way
// a program would, and returns. Typed errors are an answer; every other exception, INTERNAL and NOMEM leave the target.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace phial::fuzz {

struct Target {
  const char* name;
  void (*run)(std::string_view input);
  std::vector<std::string> (*seeds)();              // small valid inputs
  const std::vector<std::string>& (*dictionary)();  // words of the format, to put into inputs
};

const std::vector<Target>& targets();

/// Runs one target by its name; for a fuzzer's entry point.
void run(const char* name, const unsigned char* data, size_t size);

std::vector<std::string> gguf_seeds();
std::vector<std::string> safetensors_seeds();
std::vector<std::string> tokenizer_json_seeds();
std::vector<std::string> tokenizer_model_seeds();
std::vector<std::string> template_seeds();
std::vector<std::string> messages_seeds();

/// The template and the messages that the other of the two is tried with.
extern const char* const kTemplate;
extern const char* const kMessages;

}  // namespace phial::fuzz
