// Opening a checkpoint and finding every tensor of the table in it.
#include "convert/checkpoint.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <unordered_set>

#include "base/fail.h"
#include "base/file.h"

namespace phial {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16u << 20;

/// Buffers that old checkpoints carry and every loader computes itself.
constexpr std::array<std::string_view, 5> kRedundantEndings{".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                                            ".attention.bias", ".attention.masked_bias"};

bool is_redundant(std::string_view name) {
  for (std::string_view ending : kRedundantEndings)
    if (name.ends_with(ending)) return true;
  return false;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void check_folder(const std::string& folder) {
  const std::string shown = printable(folder, 1024);
  std::error_code ignored;
  if (!exists(folder)) fail(ErrorCode::not_found, "cannot open {}: no such folder; check the path", shown);
  if (!fs::is_directory(folder, ignored)) {
    if (folder.ends_with(".gguf"))
      fail(ErrorCode::not_file, "{} is a GGUF file already; to make it smaller use 'phial quantize'", shown);
    fail(ErrorCode::not_file, "{} is not a folder; give the checkpoint's folder, the one with config.json", shown);
  }
  if (exists(folder + "/config.json")) return;
  if (exists(folder + "/adapter_config.json"))
    fail(ErrorCode::unsupported, "{} holds an adapter (LoRA), not a model; merge it into its base model first", shown);
  if (exists(folder + "/params.json"))
    fail(ErrorCode::unsupported, "{} is in its maker's own format (params.json); download the Hugging Face version of the model",
         shown);
  fail(ErrorCode::not_found, "{} has no config.json; is it a checkpoint's folder?", shown);
}

void check_type(const SafetensorsFile& file, const TensorEntry& t) {
  if (t.foreign_type) {
    const bool is_float8 = std::string_view(t.foreign_type).starts_with("F8");
    fail(is_float8 ? ErrorCode::unsupported : ErrorCode::tensor,
         "{}: tensor {} has the type {}; convert the original F32, F16 or BF16 "
         "checkpoint",
         file.where(t), printable(t.name), t.foreign_type);
  }
  if (t.dtype != DType::f32 && t.dtype != DType::f16 && t.dtype != DType::bf16 && t.dtype != DType::f64)
    fail(ErrorCode::tensor, "{}: tensor {} has the type {}; weights are F32, F16, BF16 or F64", file.where(t), printable(t.name),
         format_info(t.dtype).text);
}

const std::vector<float>& factors_of(const Config& config, const std::string& gguf_name) {
  return gguf_name == "rope_factors_long.weight" ? config.rope.long_factors : config.rope.short_factors;
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) {
  Checkpoint c;
  c.folder = path;
  while (c.folder.size() > 1 && c.folder.back() == '/') c.folder.pop_back();
  check_folder(c.folder);
  std::error_code error;
  const fs::path real = fs::canonical(c.folder, error);
  c.folder_name = (error ? fs::path(c.folder) : real).filename().string();

  const std::string config_path = c.folder + "/config.json";
  c.json = parse_json(read_text_file(config_path, kMaxConfigBytes), printable(config_path, 1024));
  if (!c.json.is_object()) fail(ErrorCode::hparam, "{} must hold an object", printable(config_path, 1024));
  const auto names = c.json.find("architectures");
  if (names == c.json.end() || !names->is_array() || names->empty() || !(*names)[0].is_string())
    fail(ErrorCode::unsupported,
         "{}: 'architectures' is missing, so the kind of model is not known; add it, for example "
         "\"architectures\": [\"{}\"]",
         printable(config_path, 1024), architectures()[0]->hf_names[0]);
  c.architecture = &architecture_by_hf((*names)[0].get<std::string>());
  c.config = c.architecture->from_json(c.json);
  validate(c.config);
  return c;
}

MatchedTensors match_tensors(const Checkpoint& checkpoint, const SafetensorsFile& file) {
  MatchedTensors out;
  std::unordered_set<std::string_view> used;
  for (ExpectedTensor& want : expected_tensors(*checkpoint.architecture, checkpoint.config)) {
    SourceTensor source;
    if (want.hf.empty()) {
      source.values = factors_of(checkpoint.config, want.gguf);
    } else {
      source.entry = file.find(want.hf);
      if (!source.entry) {
        if (want.spec->optional) continue;
        fail(ErrorCode::tensor,
             "tensor {} {} is missing in {}; the checkpoint is incomplete or config.json belongs to another one", want.hf,
             shape_text(want.shape), printable(checkpoint.folder, 1024));
      }
      check_type(file, *source.entry);
      if (source.entry->shape != want.shape)
        fail(ErrorCode::tensor, "{}: tensor {} has the shape {}; config.json asks for {}", file.where(*source.entry), want.hf,
             shape_text(source.entry->shape), shape_text(want.shape));
      used.insert(source.entry->name);
    }
    source.expected = std::move(want);
    out.tensors.push_back(std::move(source));
  }
  for (const TensorEntry& t : file.tensors())
    if (!used.contains(t.name) && !is_redundant(t.name)) out.unused.push_back(t.name);
  return out;
}

}  // namespace phial
