// How attention is cut into jobs for the threads, and what their partial results take: shared by the operation and the plan.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/op_kernels.h"

namespace phial::cpu {

struct AttentionCut {
  /// n_splits: of the longest context.
  AttentionCut(const AttentionParams& params, int64_t n_splits, int n_threads)
      : head_dim(params.head_dim),
        group(params.n_heads / params.n_kv_heads),
        heads(std::min(group, kMaxQueries)),
        parts((group + heads - 1) / heads),
        tokens(std::max(1, most_queries(params.n_kv_heads * parts, n_splits, n_threads) / heads)),
        n_columns(params.n_kv_heads * parts) {}

  int64_t n_jobs(int64_t n_runs) const { return n_runs * n_columns; }
  int64_t job_rows(int64_t n_tokens) const { return heads * std::min<int64_t>(tokens, n_tokens); }
  int64_t state_bytes() const { return SoftmaxState::floats(head_dim) * static_cast<int64_t>(sizeof(float)); }
  /// Few jobs with long contexts: threads share a job's splits, while the partial results stay small.
  bool spreads_splits(int64_t n_runs, int64_t n_splits, int64_t n_tokens, int n_threads) const {
    const auto bytes = static_cast<uint64_t>(n_jobs(n_runs) * n_splits * job_rows(n_tokens) * state_bytes());
    return n_splits > 1 && n_jobs(n_runs) < 4 * n_threads && bytes <= kMaxPartialBytes;
  }
  /// Softmax states in the workspace: one per thread and split, or one per job and split and a total for each job.
  int64_t n_states(int64_t n_runs, int64_t n_splits, int64_t n_tokens, int n_threads) const {
    return spreads_splits(n_runs, n_splits, n_tokens, n_threads) ? n_jobs(n_runs) * (n_splits + 1) * job_rows(n_tokens)
                                                                 : 2 * job_rows(n_tokens) * n_threads;
  }
  /// The most that such a step or, with fewer tokens or a shorter context, another one takes.
  int64_t most_bytes(int64_t n_runs, int64_t n_splits, int64_t n_tokens, int n_threads) const {
    int64_t most = n_states(n_runs, n_splits, n_tokens, n_threads);
    for (int64_t runs = 1; runs <= n_runs && n_jobs(runs) < 4 * n_threads; ++runs)
      for (int64_t splits = 2; splits <= n_splits; ++splits) {
        const auto fitting = static_cast<int64_t>(kMaxPartialBytes) / (n_jobs(runs) * splits * state_bytes());
        most = std::max(most, n_jobs(runs) * (splits + 1) * std::min(job_rows(n_tokens), fitting));
      }
    return most * state_bytes();
  }

  int32_t head_dim, group;
  int32_t heads;   // query heads of a job
  int32_t parts;   // jobs of a group of query heads
  int32_t tokens;  // of a run: as many as make a job full
  int32_t n_columns;

 private:
  /// Long jobs read K and V less often; short ones keep many threads busy to the end, and their state in the caches.
  static int32_t most_queries(int64_t n_columns, int64_t n_splits, int64_t n_threads) {
    if (n_columns < 4 * n_threads) return kMaxQueries / 4;
    return n_splits > 2 ? kMaxQueries : kMaxQueries / 2;
  }
  static constexpr uint64_t kMaxPartialBytes = 4u << 20;
};

}  // namespace phial::cpu
