// The checkpoints of tests/fixtures/models, converted once per test run, and what transformers computed on them.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "phial/convert.h"
#include "phial/engine.h"
#include "test_files.h"

namespace phial::test {

inline std::string models_folder() { return std::string(PHIAL_SOURCE_DIR) + "/tests/fixtures/models/"; }

/// Names of all fixtures.
inline const std::vector<std::string>& fixture_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(models_folder())) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }();
  return names;
}

/// The GGUF file of a checkpoint folder, converted on first use.
inline std::string converted(const std::string& folder, const std::string& outtype) {
  static TempFolder temporary;
  static std::map<std::string, std::string> done;
  std::string& path = done[folder + "|" + outtype];
  if (path.empty()) {
    path = temporary / (std::to_string(done.size()) + ".gguf");
    ConvertOptions options;
    options.input = folder;
    options.output = path;
    options.outtype = outtype;
    convert(options);
  }
  return path;
}

inline std::string fixture(const std::string& name, const std::string& outtype = "f32") {
  return converted(models_folder() + name, outtype);
}

/// Exact KV cache and one thread unless a test says otherwise.
inline RunOptions exact(const std::string& model, const std::string& device = "reference") {
  RunOptions o;
  o.model = model;
  o.device = device;
  o.n_threads = 1;
  o.cache_type_k = o.cache_type_v = "f32";
  return o;
}

struct Expected {
  struct Case {
    std::vector<int32_t> tokens;
    std::vector<float> logits;  // [tokens, vocab_size]
  };
  std::vector<Case> cases;
  std::vector<int32_t> prompt, greedy;
};

template <typename T>
std::vector<T> read_values(const TensorFile& file, const std::string& name) {
  const TensorEntry* t = file.find(name);
  REQUIRE(t != nullptr);
  std::vector<T> out(t->n_values());
  file.read(*t, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

inline Expected expected(const std::string& name) {
  const SafetensorsFile file = SafetensorsFile::open(models_folder() + name + "/expected.safetensors");
  Expected out;
  for (const TensorEntry& t : file.tensors())
    if (t.name.starts_with("logits."))
      out.cases.push_back({read_values<int32_t>(file, "tokens." + t.name.substr(7)), read_values<float>(file, t.name)});
  out.prompt = read_values<int32_t>(file, "greedy.prompt");
  out.greedy = read_values<int32_t>(file, "greedy.tokens");
  return out;
}

inline std::vector<float> all_logits(Model& model, std::span<const int32_t> tokens) {
  std::vector<float> out;
  model.logits(tokens, [&](int64_t, std::span<const float> row) { out.insert(out.end(), row.begin(), row.end()); });
  return out;
}

inline std::vector<float> all_logits(const RunOptions& options, std::span<const int32_t> tokens) {
  return all_logits(*Model::load(options), tokens);
}

/// The largest over the rows of |a - b|^2 / |b|^2.
inline double worst_nmse(std::span<const float> a, std::span<const float> b, size_t row) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t begin = 0; begin < b.size(); begin += row) {
    double error = 0, norm = 0;
    for (size_t i = begin; i < begin + row; ++i) {
      const double d = static_cast<double>(a[i]) - b[i];
      error += d * d;
      norm += static_cast<double>(b[i]) * b[i];
    }
    if (!(error / norm <= worst)) worst = error / norm;
  }
  return worst;
}

inline SamplerParams greedy_sampling() {
  SamplerParams p;
  p.temperature = 0;
  return p;
}

/// `tokens` until the first end of generation, which is included.
inline std::vector<int32_t> until_end(const Tokenizer& tokenizer, std::vector<int32_t> tokens) {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokenizer.is_end_of_generation(tokens[i])) tokens.resize(i + 1);
  return tokens;
}

}  // namespace phial::test
