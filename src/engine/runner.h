// Steps of a model: fills the step's inputs from the sequences that take part, runs forward, hands out logits.
// Nothing of a step depends on who else takes part in it, so results do not either.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "engine/page_pool.h"
#include "engine/sequence.h"
#include "model/decoder.h"
#include "nn/kv_cache.h"
#include "nn/rope.h"

namespace phial {

struct RunnerLimits {
  int64_t max_tokens = 512;  // of one step
  int64_t max_outputs = 1;   // rows of logits of one step
  int64_t n_context = 0;     // tokens of one sequence
  int64_t n_pages = 0;
  uint64_t workspace_bytes = 0;
  int n_threads = 1;        // of steps that decode one token of each sequence
  int n_threads_batch = 1;  // of steps with prompts
};

struct StepItem {
  Sequence* sequence;
  int64_t n_tokens;   // the next ones after those computed
  int64_t n_outputs;  // rows of logits wanted: those of the last tokens
};

class Runner {
 public:
  Runner(Device& device, const DecoderModel& model, const RopeTable& rope, const KvFormat& kv_format, const RunnerLimits& limits,
         std::shared_ptr<ThreadPool> pool, std::vector<std::shared_ptr<MappedFile>> maps = {});

  const RunnerLimits& limits() const { return limits_; }
  uint64_t kv_bytes() const { return kv_.n_bytes(); }
  PagePool& pool() { return pool_; }
  KvCache& kv() { return kv_; }
  ThreadPool& threads() { return *threads_; }
  /// Held by who calls anything below, or touches the pool.
  std::mutex& mutex() { return mutex_; }

  /// To be called when a sequence's tokens have changed: if its length now asks for the other rope set, nothing of the cache
  /// can stay, and it is computed again from the start.
  void settle(Sequence& s) const;
  /// Logits [n_outputs, vocab_size] in order of the items; valid until the next step. Throws BUSY when the pages are spent.
  Tensor step(std::span<const StepItem> items);
  /// Gives `to`, which has pages for them, the first n tokens that `from` has computed; both begin with them and have one rope
  /// set.
  void copy_beginning(const Sequence& from, Sequence& to, int64_t n);
  void forget(Sequence& s) { pool_.shrink(s.pages, 0), s.n_computed = 0; }

 private:
  void take_pages(std::span<const StepItem> items);
  StepInputs fill_inputs(std::span<const StepItem> items);

  const DecoderModel& model_;
  const RopeTable& rope_;
  RunnerLimits limits_;
  std::shared_ptr<ThreadPool> threads_;
  std::vector<std::shared_ptr<MappedFile>> maps_;  // that weights point into
  KvCache kv_;
  PagePool pool_;
  std::shared_ptr<std::byte> workspace_memory_;
  Workspace workspace_;
  std::unique_ptr<Stream> stream_;
  std::vector<int32_t> token_ids_, positions_, sequence_of_, rope_set_, page_table_, output_rows_;
  std::mutex mutex_;
};

}  // namespace phial
