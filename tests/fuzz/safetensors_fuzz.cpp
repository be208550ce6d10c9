// libFuzzer's entry point of the target "safetensors".
#include <cstddef>
#include <cstdint>

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  phial::fuzz::run("safetensors", data, size);
  return 0;
}
