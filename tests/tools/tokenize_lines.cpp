// Tokenizes many texts in one run, for comparing with other tokenizers. stdin: each text as a 32-bit little-endian length and
// that many bytes; stdout: a line of ids each.
// usage: tokenize_lines MODEL [--special] [--plain] [--decode | --binary] [--time]
//   --special: add BOS/EOS; --plain: texts of special tokens are text; --decode: also the decoded bytes as hex, behind a tab;
//   --binary: instead of lines a number of ids and the ids, each 32 bits; --time: only MB/s of the whole
#include <ctime>
#include <iostream>
#include <iterator>
#include <sstream>

#include "phial/error.h"
#include "phial/tokenizer.h"

int main(int argc, char** argv) {
  try {
    bool special = false, plain = false, decode = false, time = false, binary = false;
    for (int i = 2; i < argc; ++i) {
      const std::string a = argv[i];
      special |= a == "--special";
      plain |= a == "--plain";
      decode |= a == "--decode";
      time |= a == "--time";
      binary |= a == "--binary";
    }
    if (argc < 2) return 2;
    const auto tokenizer = phial::Tokenizer::open(argv[1]);
    const std::string input((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    std::ostringstream out;
    const std::clock_t start = std::clock();  // processor time: others may use the machine
    for (size_t i = 0; i + 4 <= input.size();) {
      size_t n = 0;
      for (size_t k = 0; k < 4; ++k) n |= static_cast<size_t>(static_cast<unsigned char>(input[i + k])) << (8 * k);
      const auto ids = tokenizer->encode(std::string_view(input).substr(i + 4, n), special, !plain);
      i += 4 + n;
      if (time) continue;
      if (binary) {
        const auto count = static_cast<uint32_t>(ids.size());
        out.write(reinterpret_cast<const char*>(&count), sizeof count);
        out.write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(ids.size() * sizeof ids[0]));
        continue;
      }
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
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (time) out << static_cast<double>(input.size()) / 1e6 / seconds << " MB/s\n";
    std::cout << out.str();
  } catch (const phial::Error& e) {
    std::cerr << e.code_text() << ": " << e.what() << '\n';
    return 2;
  }
}
