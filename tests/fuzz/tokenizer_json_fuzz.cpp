// libFuzzer's entry point of the target "tokenizer_json".
#include <cstddef>
#include <cstdint>

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  phial::fuzz::run("tokenizer_json", data, size);
  return 0;
}
