// GGUF -> quantized GGUF, by llama.cpp's mixes and flags.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "phial/progress.h"

namespace phial {

struct QuantizeOptions {
  std::string input, output;  // output "" = <dir>/ggml-model-<TYPE>.gguf
  std::string type;           // a mix by name (any case) or number: Q4_K_M, 15, COPY
  bool allow_requantize = false;
  bool leave_output_tensor = false;
  bool pure = false;
  bool keep_split = false;
  bool dry_run = false;
  std::string imatrix_file;
  std::vector<std::string> include_weights, exclude_weights;
  std::string output_tensor_type, token_embedding_type;
  std::vector<std::pair<std::string, std::string>> tensor_types;  // regex on the tensor name, type
  std::vector<std::string> override_kv;                           // KEY=TYPE:VALUE
  int n_threads = 0;
};

struct QuantizeReport {
  uint64_t bytes_before = 0, bytes_after = 0, n_parameters = 0;
  double seconds = 0;
  int n_fallbacks = 0;  // tensors whose shape did not fit the wanted type
};

QuantizeReport quantize(const QuantizeOptions& options, const ProgressFn& progress = {});

struct MixInfo {
  std::string name;  // "Q4_K_M"
  int ftype;         // 15; -1 = has no number
  std::string what;  // one line for --help
};
const std::vector<MixInfo>& quantization_mixes();

}  // namespace phial
