// Everything that is loaded for a model: shared by the Model that callers hold and by its sessions.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/model_identity.h"
#include "engine/runner.h"
#include "model/config.h"
#include "model/decoder.h"
#include "phial/engine.h"
#include "tensor/stream.h"

namespace phial {

struct Engine {
  ModelInfo info;
  Config config;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<Device> device;
  std::unique_ptr<DecoderModel> decoder;
  std::unique_ptr<RopeTable> rope;
  std::unique_ptr<Runner> runner;
  double load_seconds = 0;
  int n_sequences = 1;
  std::atomic<int> n_open{0};

  // What the model is: hashed when a session is first saved or loaded.
  std::vector<std::shared_ptr<InputFile>> files;
  std::vector<std::string> override_kv;
  std::shared_ptr<ThreadPool> pool;
  const ModelIdentity& identity();

  /// Throws TOKEN for an id out of range, CONTEXT for a text that does not fit.
  void check_text(std::span<const int32_t> tokens) const;

 private:
  std::once_flag identified_;
  ModelIdentity identity_{};
};

std::shared_ptr<Engine> load_engine(const RunOptions& options, const ProgressFn& progress);

/// Throws BUSY beyond n_sequences.
std::unique_ptr<Session> open_session(std::shared_ptr<Engine> engine);

/// Continuous batching: each step takes the next token of every running request and fills up with prompt tokens of the
/// newest; a waiting request starts when pages for all it may become are free.
std::vector<Model::GenerateResult> generate_together(Engine& engine, std::span<const Model::GenerateRequest> requests);

/// Steps as full as the texts allow, oldest text first; a text is asked for when the next step has room for it.
void logits_together(Engine& engine, LogitsJob& job);

}  // namespace phial
