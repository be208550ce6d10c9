// Hugging Face checkpoint -> GGUF, in one streaming pass, quantized on the way if asked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "phial/progress.h"

namespace phial {

struct ConvertOptions {
  std::string input;             // checkpoint folder
  std::string output;            // "" = <folder name>-<OUTTYPE>.gguf inside the folder, as the known script does it
  std::string outtype = "auto";  // auto, f32, f16, bf16, q8_0 ... or any quantization mix: q4_k_m
  std::string model_name;        // general.name
  std::string metadata_file;     // JSON of extra or replaced metadata
  bool vocab_only = false;
  bool dry_run = false;
  int split_max_tensors = 0;
  uint64_t split_max_bytes = 0;
  int n_threads = 0;
};

struct ConvertReport {
  std::vector<std::string> files;
  uint64_t n_bytes = 0;
  uint64_t n_parameters = 0;
  double seconds = 0;
};

/// Peak memory: the largest tensor + 512 MiB. The output appears whole or not at all.
ConvertReport convert(const ConvertOptions& options, const ProgressFn& progress = {});

/// Hugging Face names of the supported architectures.
std::vector<std::string> supported_architectures();

}  // namespace phial
