// From options to a checked file with its tokenizer and device.
#include "engine/opened_model.h"

#include <algorithm>

#include "base/fail.h"
#include "formats/metadata_override.h"
#include "model/weights.h"
#include "quant/recipe.h"
#include "tensor/registry.h"
#include "tokenizer/vocab.h"

namespace phial {
namespace {

void check_options(const RunOptions& o) {
  auto check = [](const char* flag, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) fail(ErrorCode::argument, "{} is {}; it must lie in {}..{}", flag, value, low, high);
  };
  check("--threads", o.n_threads, 0, 1024);
  check("--threads-batch", o.n_threads_batch, 0, 1024);
  check("--ctx-size", o.n_context, 0, INT32_MAX / 2);
  check("--batch-size", o.n_batch, 1, 1 << 20);
  check("--ubatch-size", o.n_ubatch, 1, 1 << 16);
  check("n_sequences", o.n_sequences, 1, 1 << 16);
}

}  // namespace

std::string OpenedModel::file_type() const {
  const int64_t id = metadata.integer("general.file_type", -1);
  if (id < 0) return "";
  try {
    return std::string(mix_row(parse_mix(std::to_string(id))).name);
  } catch (const Error&) {
    return "type " + std::to_string(id);
  }
}

OpenedModel open_model(const RunOptions& options) {
  check_options(options);
  OpenedModel m;
  m.file = std::make_shared<GgufFile>(GgufFile::open(options.model));
  m.metadata = m.file->metadata();
  override_metadata(m.metadata, options.override_kv);
  m.arch = &architecture_by_gguf(m.metadata.text("general.architecture"));
  Config& config = m.config = m.arch->from_metadata(m.metadata);
  complete_config(*m.file, config);
  validate(config);
  check_tensors(*m.file, *m.arch, config);
  m.tokenizer = std::make_shared<Tokenizer>(vocab_from_metadata(m.metadata));
  m.kv = {kv_dtype(options.cache_type_k, "--cache-type-k", static_cast<int32_t>(config.head_dim)),
          kv_dtype(options.cache_type_v, "--cache-type-v", static_cast<int32_t>(config.head_dim)),
          static_cast<int32_t>(config.n_kv_heads), static_cast<int32_t>(config.head_dim)};

  DeviceOptions device;
  m.n_threads = options.n_threads > 0 ? options.n_threads : default_thread_count();
  m.n_threads_batch = options.n_threads_batch > 0 ? options.n_threads_batch : m.n_threads;
  device.pool = m.pool = std::make_shared<ThreadPool>(std::max(m.n_threads, m.n_threads_batch));
  device.isa = options.isa;
  device.huge_pages = options.huge_pages;
  device.low_memory = options.mmap;
  m.device = open_device(options.device.empty() ? "cpu" : options.device, device);
  return m;
}

}  // namespace phial
