// What a model will take, from a dry run of its own code, and the context that fits.
#pragma once

#include <cstdint>
#include <string>

#include "model/arch.h"
#include "model/weights.h"
#include "nn/kv_cache.h"
#include "nn/rope.h"
#include "phial/engine.h"

namespace phial {

struct MemoryPlan {
  uint64_t weight_bytes = 0;
  uint64_t workspace_bytes = 0;
  uint64_t kv_bytes = 0;
  uint64_t flops_per_token = 0;  // matrix products only
  int64_t max_tokens = 0;        // of one step
  int64_t max_outputs = 0;       // rows of logits of one step
  int64_t n_context = 0;         // of one sequence
  int64_t n_pages = 0;           // for all sequences
  std::string note;              // why the context is smaller than the model's; "" = it is not
};

/// options.n_context 0 = the model's own, lowered to what fits in `available` bytes (0 = unknown, nothing is lowered); a
/// context asked for is taken as it is, unless the machine cannot hold it: NOMEM, with the sizes.
MemoryPlan plan_memory(const TensorFile& file, const Architecture& arch, const Config& config, const KvFormat& kv_format,
                       Device& device, const RunOptions& options, uint64_t available);

}  // namespace phial
