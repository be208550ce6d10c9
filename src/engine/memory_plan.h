// What a model will take, from a dry run of its own code, and the context that fits. Nothing is loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/opened_model.h"
#include "model/decoder.h"
#include "model/weights.h"
#include "nn/rope.h"
#include "tensor/plan_stream.h"

namespace phial {

struct MemoryPlan {
  uint64_t weight_bytes = 0;
  uint64_t mapped_bytes = 0;        // of weights that stay in the file's map; the system may drop them
  uint64_t workspace_bytes = 0;     // of steps that answer, with what the device keeps for itself
  uint64_t workspace_capacity = 0;  // room reserved, for steps with more logits too; what is not used costs nothing
  uint64_t kv_bytes = 0;
  uint64_t sampling_bytes = 0;   // logits and candidates
  uint64_t flops_per_token = 0;  // matrix products only
  int64_t max_tokens = 0;        // of one step
  int64_t max_outputs = 0;       // rows of logits of one step
  int64_t n_context = 0;         // of one sequence
  int64_t n_pages = 0;           // for all sequences
  std::string note;              // why the context is smaller than the model's; "" = it is not

  uint64_t fixed_bytes() const { return weight_bytes + workspace_bytes + sampling_bytes; }
  uint64_t needed_bytes() const { return fixed_bytes() + kv_bytes; }  // what the system cannot take back
  uint64_t total_bytes() const { return needed_bytes() + mapped_bytes; }
};

class MemoryPlanner {
 public:
  /// Both must outlive this.
  MemoryPlanner(const OpenedModel& model, const RunOptions& options);

  /// With this context, whatever the machine has.
  MemoryPlan at(int64_t n_context) const;
  /// What a run takes: the context asked for, or the model's own, lowered to what fits in `available` bytes (0 = unknown,
  /// nothing is lowered). Throws NOMEM, with the sizes, when the machine cannot hold a context asked for, or hardly any.
  MemoryPlan choose(uint64_t available) const;
  /// The largest context, at most the model's own, whose count (needed_bytes or total_bytes) is at most n_bytes; 0 = none.
  int64_t largest_context(uint64_t n_bytes, uint64_t (MemoryPlan::*count)() const) const;
  /// What a run leaves to the rest of the machine.
  static uint64_t reserve(uint64_t available);

 private:
  /// Runs one step on nothing.
  void dry_run(MemoryPlan& plan, int64_t n_tokens, int64_t n_outputs, uint64_t& peak, uint64_t& own) const;

  const OpenedModel& model_;
  const RunOptions& options_;
  PlanDevice nothing_;
  std::unique_ptr<DecoderModel> decoder_;
  RopeTable rope_;
  uint64_t weight_bytes_ = 0;
};

}  // namespace phial
