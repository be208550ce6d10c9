// Tokenizes many texts in one run, for comparing with other tokenizers: NUL-separated texts on stdin, a line of ids each.
// usage: tokenize_lines MODEL [--special] [--plain] [--decode] [--time]
//   --special: add BOS/EOS; --plain: texts of special tokens are text; --decode: also the decoded bytes as hex, behind a tab;
//   --time: only MB/s of the whole
#include <chrono>
#include <iostream>
#include <iterator>
#include <sstream>

#include "phial/error.h"
#include "phial/tokenizer.h"

int main(int argc, char** argv) {
  try {
    bool special = false, plain = false, decode = false, time = false;
    for (int i = 2; i < argc; ++i) {
      const std::string a = argv[i];
      special |= a == "--special";
      plain |= a == "--plain";
      decode |= a == "--decode";
      time |= a == "--time";
    }
    const auto tokenizer = phial::Tokenizer::open(argv[1]);
    const std::string input((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    std::ostringstream out;
    const auto start = std::chrono::steady_clock::now();
    for (size_t begin = 0; begin < input.size();) {
      const size_t end = std::min(input.find('\0', begin), input.size());
      const auto ids = tokenizer->encode(std::string_view(input).substr(begin, end - begin), special, !plain);
      begin = end + 1;
      if (time) continue;
      for (size_t k = 0; k < ids.size(); ++k) out << (k ? " " : "") << ids[k];
      if (decode) {
        out << '\t';
        for (const char c : tokenizer->decode(ids, true)) {
          const char* hex = "0123456789abcdef";
          out << hex[static_cast<unsigned char>(c) >> 4] << hex[c & 15];
        }
      }
      out << '\n';
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (time) std::cout << static_cast<double>(input.size()) / 1e6 / seconds.count() << " MB/s\n";
    std::cout << out.str();
  } catch (const phial::Error& e) {
    std::cerr << e.code_text() << ": " << e.what() << '\n';
    return 2;
  }
}
