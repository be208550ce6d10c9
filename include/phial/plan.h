// The memory a run will take, known before anything is loaded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "phial/engine.h"

namespace phial {

/// Bytes on one device when the context is full, by purpose.
struct DevicePlan {
  std::string device;
  uint64_t weight_bytes = 0;     // as the device holds them
  uint64_t mapped_bytes = 0;     // weights in the file's map (--mmap, tied embeddings): at most; the system may drop them
  uint64_t kv_bytes = 0;         // of the whole context
  uint64_t workspace_bytes = 0;  // of the largest step, and what the device's operations keep
  uint64_t program_bytes = 0;    // code, vocabulary, sampler: measured in this process, the sampler's share reckoned
  uint64_t total_bytes() const { return weight_bytes + mapped_bytes + kv_bytes + workspace_bytes + program_bytes; }
};

struct RunPlan {
  std::string model, architecture, file_type;
  std::vector<DevicePlan> devices;
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;  // free on this machine now; 0 = unknown
  int64_t n_context = 0, n_context_train = 0;
  uint64_t kv_bytes_per_token = 0;
  std::vector<std::string> notes;  // lines a person should see: a lowered context, or why a run would be refused
  bool fits = true;                // a run would not be refused for want of memory
};

/// What Model::load with these options will take once the context is full.
RunPlan plan_run(const RunOptions& options);

/// The same with the largest context (at most the model's own) whose total is at most n_bytes. Throws NOMEM, with the
/// sizes, when not even one page of context fits.
RunPlan plan_run_within(const RunOptions& options, uint64_t n_bytes);

}  // namespace phial
