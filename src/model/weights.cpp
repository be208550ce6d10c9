// Checking a file against its architecture's table, and loading weights.
#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "base/checked.h"
#include "base/fail.h"
#include "quant/codec.h"

namespace phial {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

/// Formats a matrix can be multiplied in. Integers and f64 are read for other tools only.
bool is_computable(const TensorEntry& t, Role role) {
  if (t.foreign_type) return false;
  if (t.dtype == DType::f32 || t.dtype == DType::f16 || t.dtype == DType::bf16) return true;
  // Element-wise weights are a row of single values.
  return format_info(t.dtype).is_quantized() && (role == Role::embedding || role == Role::output || role == Role::matrix);
}

/// The values of a small tensor as f32.
std::vector<float> read_floats(const TensorFile& file, const TensorEntry& t) {
  if (!is_computable(t, Role::rope_factors))
    fail(ErrorCode::tensor, "{}: tensor '{}' has type {}; F32 is wanted", file.where(t), printable(t.name),
         format_info(t.dtype).text);
  std::vector<std::byte> bytes(t.n_bytes);
  file.read(t, 0, bytes);
  std::vector<float> out(t.n_values());
  codec(t.dtype).decode(bytes.data(), out.data(), static_cast<int64_t>(out.size()));
  return out;
}

void read_factors(const TensorFile& file, const Config& config, const char* name, std::vector<float>& factors) {
  const TensorEntry* t = file.find(name);
  if (!t) return;
  if (static_cast<int64_t>(t->n_values()) != config.rope.n_rot / 2)
    fail(ErrorCode::tensor, "{}: tensor '{}' has {} values, half of rope.dimension_count is {}", file.where(*t), name,
         t->n_values(), config.rope.n_rot / 2);
  factors = read_floats(file, *t);
  for (float f : factors)
    if (!std::isfinite(f) || f <= 0)
      fail(ErrorCode::hparam, "{}: tensor '{}' holds the rope factor {}; factors are above 0", file.where(*t), name, f);
}

}  // namespace

void complete_config(const TensorFile& file, Config& config) {
  config.tie_word_embeddings = file.find("output.weight") == nullptr;
  config.attention_bias = file.find("blk.0.attn_q.bias") != nullptr || file.find("blk.0.attn_qkv.bias") != nullptr;
  config.qk_norm = file.find("blk.0.attn_q_norm.weight") != nullptr;
  read_factors(file, config, "rope_factors_short.weight", config.rope.short_factors);
  read_factors(file, config, "rope_factors_long.weight", config.rope.long_factors);
  if (!config.rope.long_factors.empty()) {
    config.rope.scaling = "longrope";
  } else if (file.find("rope_freqs.weight")) {
    read_factors(file, config, "rope_freqs.weight", config.rope.short_factors);
    config.rope.scaling = "llama3";
  }
}

void check_tensors(const TensorFile& file, const Architecture& arch, const Config& config) {
  for (const ExpectedTensor& want : expected_tensors(arch, config)) {
    const TensorEntry* t = file.find(want.gguf);
    if (!t) {
      if (want.spec->optional) continue;
      fail(ErrorCode::tensor, "tensor '{}' {} is missing; the file is no complete {} model", want.gguf, shape_text(want.shape),
           arch.gguf_name);
    }
    if (t->shape != want.shape)
      fail(ErrorCode::tensor, "{}: tensor '{}' has shape {}, the metadata ask for {}", file.where(*t), want.gguf,
           shape_text(t->shape), shape_text(want.shape));
    if (!is_computable(*t, want.spec->role))
      fail(ErrorCode::tensor, "{}: tensor '{}' has type {}, which cannot be computed with", file.where(*t), want.gguf,
           format_info(t->dtype).text);
  }
}

struct WeightLoader::Findings {
  std::mutex mutex;
  int64_t n_tensors = 0;
  std::string first;
};

WeightLoader::WeightLoader(const TensorFile& file, Device& device, LoadOptions options)
    : file_(file), device_(device), options_(std::move(options)), findings_(std::make_shared<Findings>()) {
  for (const TensorEntry& t : file.tensors()) n_total_ += t.n_bytes;
  maps_.resize(file.files().size());
}

WeightLoader::~WeightLoader() = default;

int64_t WeightLoader::n_non_finite() const { return findings_->n_tensors; }
const std::string& WeightLoader::first_non_finite() const { return findings_->first; }

std::vector<std::shared_ptr<MappedFile>> WeightLoader::maps() const {
  std::vector<std::shared_ptr<MappedFile>> out;
  for (const auto& map : maps_)
    if (map) out.push_back(map);
  return out;
}

const std::byte* WeightLoader::map_of(const TensorEntry& t) {
  auto& map = maps_[static_cast<size_t>(t.file)];
  if (!map) map = std::make_shared<MappedFile>(file_.files()[static_cast<size_t>(t.file)]->path());
  // The header was checked on the open file; the path may lead to another one by now.
  if (map->bytes().size() < t.offset || map->bytes().size() - t.offset < t.n_bytes)
    fail(ErrorCode::trunc, "{}: the file became shorter while it was read", file_.where(t));
  return map->bytes().data() + t.offset;
}

const TensorEntry& WeightLoader::entry(const std::string& name) const {
  const TensorEntry* t = file_.find(name);
  if (!t) fail(ErrorCode::tensor, "tensor '{}' is missing", printable(name));
  return *t;
}

Weight WeightLoader::load(const std::vector<const TensorEntry*>& tensors, WeightUse use, bool mapped) {
  struct Piece {
    const TensorEntry* tensor;
    int64_t begin, end;  // rows of the weight
    std::shared_ptr<std::atomic<bool>> bad;
  };
  // A vector is one row of all its tensors' values, so there a piece counts values; else it counts rows.
  const bool vector = use == WeightUse::vector;
  auto pieces = std::make_shared<std::vector<Piece>>();
  WeightSource source;
  source.name = tensors[0]->name;
  source.dtype = tensors[0]->dtype;
  int64_t n_units = 0;
  uint64_t file_bytes = 0;
  for (const TensorEntry* t : tensors) {
    if (t->dtype != source.dtype)
      fail(ErrorCode::tensor, "{}: tensors '{}' and '{}' have different types", file_.where(*t), source.name, t->name);
    const auto n = static_cast<int64_t>(vector ? t->n_values() : t->n_rows());
    pieces->push_back({t, n_units, n_units + n, std::make_shared<std::atomic<bool>>(false)});
    n_units += n;
    file_bytes += t->n_bytes;
  }
  source.n_rows = vector ? 1 : n_units;
  source.n_cols = vector ? n_units : tensors[0]->row_length();
  const int64_t unit = vector ? 1 : source.n_cols;
  const uint64_t unit_bytes = row_bytes(source.dtype, static_cast<uint64_t>(unit));

  source.read_rows = [this, pieces, vector, n_units, unit, unit_bytes, dtype = source.dtype](int64_t begin, int64_t n,
                                                                                             std::span<std::byte> out) {
    if (vector) n = n_units;
    for (const Piece& p : *pieces) {
      const int64_t from = std::max(begin, p.begin), to = std::min(begin + n, p.end);
      if (from >= to) continue;
      auto rows = out.subspan(static_cast<uint64_t>(from - begin) * unit_bytes, static_cast<uint64_t>(to - from) * unit_bytes);
      file_.read(*p.tensor, static_cast<uint64_t>(from - p.begin) * unit_bytes, rows);
      if (p.bad->load(std::memory_order_relaxed)) continue;
      if (codec(dtype).find_non_finite(rows.data(), (to - from) * unit) >= 0) p.bad->store(true);
    }
  };
  if (mapped && tensors.size() == 1)
    source.mapped_rows = [map = map_of(*tensors[0]), unit_bytes](int64_t row) {
      return map + static_cast<uint64_t>(row) * unit_bytes;
    };

  // Mapped bytes do not pass through read_rows.
  if (source.mapped_rows && options_.check_values &&
      codec(source.dtype).find_non_finite(source.mapped_rows(0), source.n_rows * source.n_cols) >= 0)
    (*pieces)[0].bad->store(true);

  Weight w = device_.load(source, use);
  n_bytes_ += w.storage ? w.storage->n_bytes() : 0;
  for (const Piece& p : *pieces) {
    if (!p.bad->load()) continue;
    if (options_.check_values)
      fail(ErrorCode::nan, "{}: tensor '{}' holds NaN or infinite values; the file is damaged", file_.where(*p.tensor),
           p.tensor->name);
    if (findings_->n_tensors++ == 0) findings_->first = p.tensor->name;
  }
  n_done_ += file_bytes;
  if (options_.progress && !options_.progress({"load", source.name, std::min(n_done_, n_total_), n_total_, ""}))
    fail(ErrorCode::cancelled, "loading was stopped");
  return w;
}

Weight WeightLoader::matrix(const std::string& name) { return load({&entry(name)}, WeightUse::matrix, options_.low_memory); }
Weight WeightLoader::table(const std::string& name, bool mapped) {
  return load({&entry(name)}, WeightUse::table, mapped || options_.low_memory);
}
Weight WeightLoader::vector(const std::string& name) { return load({&entry(name)}, WeightUse::vector, false); }

Linear WeightLoader::stacked(const std::vector<std::string>& names, const std::vector<std::string>& biases) {
  Linear out;
  for (size_t i = 0; i < names.size();) {
    std::vector<const TensorEntry*> run{&entry(names[i])};
    std::vector<const TensorEntry*> run_biases;
    if (!biases.empty()) run_biases.push_back(&entry(biases[i]));
    size_t end = i + 1;
    // In the file's map tensors are where they are; apart they are the same numbers.
    for (; !options_.low_memory && end < names.size() && entry(names[end]).dtype == run[0]->dtype; ++end) {
      run.push_back(&entry(names[end]));
      if (!biases.empty()) run_biases.push_back(&entry(biases[end]));
    }
    out.parts.push_back(load(run, WeightUse::matrix, options_.low_memory));
    if (!biases.empty()) out.biases.push_back(load(run_biases, WeightUse::vector, false));
    i = end;
  }
  return out;
}

}  // namespace phial
