// phial tokenize: text to token ids, printed as llama-tokenize does.
#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "files.h"
#include "flags.h"
#include "phial/tokenizer.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial tokenize -m phi.gguf -p \"Hello world\" --ids\n"
    "  phial tokenize -m phi.gguf -f book.txt --show-count\n";

void print_ids(const std::vector<int32_t>& ids) {
  std::string line = "[";
  for (size_t i = 0; i < ids.size(); ++i) line += (i ? ", " : "") + std::to_string(ids[i]);
  fmt::print("{}]\n", line);
}

}  // namespace

int tokenize_verb(Flags& flags) {
  std::string model, prompt, file;
  bool ids_only = false, from_stdin = false, no_bos = false, no_parse_special = false, no_escape = false, show_count = false;
  bool nul_separated = false;
  flags.about("Text to token ids, exactly as Hugging Face's tokenizers give them.", kExamples);
  flags.text("--model,-m", model, "FILE", "phi.gguf", "GGUF file or checkpoint folder");
  flags.text("--prompt,-p", prompt, "TEXT", "\"Hello world\"", "The text; \\n is read as a line break");
  flags.text("--file,-f", file, "FILE", "book.txt", "Read the text from a file");
  flags.toggle("--stdin", from_stdin, "Read the text from standard input");
  flags.toggle("--ids", ids_only, "Print only the ids: [1, 2, 3]");
  flags.toggle("--nul", nul_separated, "The file holds several texts separated by NUL; one line of ids each");
  flags.toggle("--no-bos", no_bos, "No BOS or EOS, even if the model wants them");
  flags.toggle("--no-parse-special", no_parse_special, "Texts of special tokens are plain text");
  flags.toggle("--no-escape", no_escape, "Leave backslashes in --prompt alone");
  flags.toggle("--show-count", show_count, "Print the number of tokens too");
  flags.accepted("--log-disable", false);
  if (!flags.parse()) return 0;
  if (model.empty()) throw Usage("--model is missing: phial tokenize -m MODEL -p TEXT");
  const bool has_prompt = flags.given("--prompt");
  if (has_prompt + !file.empty() + from_stdin != 1) throw Usage("give one of --prompt, --file and --stdin");
  std::string text = has_prompt ? (no_escape ? prompt : unescape(prompt)) : read_input(from_stdin ? "-" : file);
  const auto tokenizer = Tokenizer::open(model);
  if (nul_separated) {
    size_t begin = 0;
    while (begin <= text.size()) {
      const size_t end = std::min(text.find('\0', begin), text.size());
      print_ids(tokenizer->encode(std::string_view(text).substr(begin, end - begin), !no_bos, !no_parse_special));
      begin = end + 1;
    }
    return 0;
  }
  const auto ids = tokenizer->encode(text, !no_bos, !no_parse_special);
  if (ids_only) {
    print_ids(ids);
  } else {
    for (int32_t id : ids) fmt::print("{:6} -> '{}'\n", id, tokenizer->piece(id, true));
  }
  if (show_count) fmt::print("Total number of tokens: {}\n", ids.size());
  return 0;
}

}  // namespace phial::cli
