// write_corpus FOLDER TARGET: writes the target's seeds as files, and TARGET.dict beside the folder in libFuzzer's format.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "targets.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (const phial::fuzz::Target& target : phial::fuzz::targets()) {
    if (std::strcmp(target.name, argv[2]) != 0) continue;
    std::filesystem::create_directories(argv[1]);
    int number = 0;
    for (const std::string& seed : target.seeds())
      std::ofstream(argv[1] + ("/seed-" + std::to_string(number++)), std::ios::binary) << seed;
    std::ofstream dictionary(std::string(argv[1]) + ".dict");
    for (const std::string& word : target.dictionary()) {
      dictionary << '"';
      for (const char c : word) {
        char text[8];
        std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        dictionary << text;
      }
      dictionary << "\"\n";
    }
    return 0;
  }
  return 2;
}
