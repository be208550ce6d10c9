// Filling in an architecture's tensor table.
#include "model/arch.h"

#include <string_view>

namespace phial {
namespace {

constexpr std::string_view kLayerMark = "{i}";

bool is_layer_row(const TensorSpec& spec) { return std::string_view(spec.gguf).find(kLayerMark) != std::string_view::npos; }

std::string with_layer(std::string_view text, int layer) {
  const size_t at = text.find(kLayerMark);
  if (at == std::string_view::npos) return std::string(text);
  std::string out(text.substr(0, at));
  out += std::to_string(layer);
  out += text.substr(at + kLayerMark.size());
  return out;
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Architecture& arch, const Config& config) {
  std::vector<ExpectedTensor> out;
  auto add = [&](const TensorSpec& spec, int layer) {
    std::vector<int64_t> shape = spec.shape(config);
    if (shape.empty()) return;
    out.push_back({with_layer(spec.gguf, layer), with_layer(spec.hf, layer), std::move(shape), &spec, layer});
  };
  for (const TensorSpec& spec : arch.tensors)
    if (!is_layer_row(spec)) add(spec, -1);
  for (int layer = 0; layer < config.n_layers; ++layer)
    for (const TensorSpec& spec : arch.tensors)
      if (is_layer_row(spec)) add(spec, layer);
  return out;
}

}  // namespace phial
