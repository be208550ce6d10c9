// Reading files and standard input for the verbs.
#include "files.h"

#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "flags.h"

namespace phial::cli {

std::string read_input(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Usage("cannot read " + path + ": " + std::strerror(errno));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw Usage("cannot read " + path);
  return text;
}

}  // namespace phial::cli
