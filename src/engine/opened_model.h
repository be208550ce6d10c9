// What is known of a model before its weights are loaded: the file checked, its config, tokenizer and device.
// Loading and planning begin here.
#pragma once

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "model/arch.h"
#include "nn/kv_cache.h"
#include "phial/engine.h"
#include "tensor/stream.h"

namespace phial {

struct OpenedModel {
  std::shared_ptr<GgufFile> file;
  Metadata metadata;  // with --override-kv
  const Architecture* arch = nullptr;
  Config config;
  std::shared_ptr<const Tokenizer> tokenizer;
  KvFormat kv;
  std::shared_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;
  int n_threads = 0, n_threads_batch = 0;

  /// The mix that general.file_type names ("Q4_K_M"); a number that is no mix of ours stays a number.
  std::string file_type() const;
};

/// Throws ARGUMENT for options out of range, and what the file's checks throw.
OpenedModel open_model(const RunOptions& options);

}  // namespace phial
