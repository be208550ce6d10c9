// The KV cache written, and attention split over threads. A task is the queries of some tokens and one KV head; the same
// numbers come out however tasks are cut, since a query's tiles and splits are fixed by positions alone.
#include <algorithm>
#include <array>

#include "backends/cpu/attention_cut.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"

namespace phial::cpu {
namespace {

constexpr int32_t kSplitTiles = kSplitTokens / kPageTokens;

/// Tokens [begin, end) of one sequence, with some of the query heads of one KV head.
struct Job {
  int32_t begin, end, kv_head, first_head, n_heads;
};

/// The step's attention as a list of jobs that is computed, not stored: token runs x KV heads x parts of a head group.
class Jobs {
 public:
  Jobs(const AttentionCut& cut, const StepInputs& step) : cut_(cut), step_(step) {
    for (int32_t t = 0; t < step.n_tokens; t = run_end(t)) ++n_runs_;
  }

  int64_t n_columns() const { return cut_.n_columns; }
  int64_t n_runs() const { return n_runs_; }
  /// First token of the next run: runs end with the sequence or when they are full.
  int32_t run_end(int32_t t) const {
    int32_t end = t + 1;
    while (end < step_.n_tokens && end - t < cut_.tokens && step_.sequence_of[end] == step_.sequence_of[t]) ++end;
    return end;
  }
  Job job(int32_t run_begin, int64_t column) const {
    const int32_t part = static_cast<int32_t>(column % cut_.parts), kv_head = static_cast<int32_t>(column / cut_.parts);
    const int32_t first = part * cut_.heads;
    return {run_begin, run_end(run_begin), kv_head, kv_head * cut_.group + first, std::min(cut_.heads, cut_.group - first)};
  }

 private:
  const AttentionCut& cut_;
  const StepInputs& step_;
  int64_t n_runs_ = 0;
};

/// What one thread needs besides the kernels.
struct Worker {
  std::array<const float*, kMaxQueries> queries;
  std::array<int32_t, kMaxQueries> positions;
};

}  // namespace

void CpuStream::kv_store(const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) {
  const uint64_t k_bytes = kv_page_bytes(kv.k_dtype, kv.n_kv_heads, kv.head_dim);
  const uint64_t v_bytes = kv_page_bytes(kv.v_dtype, kv.n_kv_heads, kv.head_dim);
  constexpr int32_t kAhead = 4;  // tokens whose rows, which lie pages apart, are asked for before they are stored
  // By head, so that the lines 16 keys share stay with one thread.
  for_rows(pool_, kv.n_kv_heads, static_cast<int64_t>(step.n_tokens) * kv.head_dim, [&](int64_t h) {
    const int32_t head = static_cast<int32_t>(h);
    for (int32_t t = 0; t < step.n_tokens; ++t) {
      const int32_t position = step.positions[t], slot = position % kPageTokens;
      const int64_t page = step.page_table[static_cast<int64_t>(step.sequence_of[t]) * step.max_pages + position / kPageTokens];
      if (t + kAhead < step.n_tokens)
        for (int32_t d = 0; d < kv.head_dim; d += 16) {
          __builtin_prefetch(k.row(t + kAhead) + h * kv.head_dim + d);
          __builtin_prefetch(v.row(t + kAhead) + h * kv.head_dim + d);
        }
      kernels_.ops.store_k(kv.k + page * k_bytes, kv, head, slot, k.row(t) + h * kv.head_dim);
      kernels_.ops.store_v(kv.v + page * v_bytes, kv, head, slot, v.row(t) + h * kv.head_dim);
    }
  });
}

void CpuStream::attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) {
  const int32_t head_dim = params.head_dim;
  int32_t last = 0;
  for (int32_t t = 0; t < step.n_tokens; ++t) last = std::max(last, step.positions[t]);
  const int32_t n_splits = last / kSplitTokens + 1;
  const AttentionCut cut(params, n_splits, pool_.size());
  const Jobs jobs(cut, step);
  WorkspaceScope scope(workspace());
  auto states = [&](int64_t n_rows) {
    return SoftmaxState{reinterpret_cast<float*>(workspace().take(n_rows * cut.state_bytes())), head_dim};
  };

  // Where each run begins.
  int32_t* run_begin = reinterpret_cast<int32_t*>(workspace().take(jobs.n_runs() * sizeof(int32_t)));
  for (int32_t t = 0, run = 0; t < step.n_tokens; t = jobs.run_end(t), ++run) run_begin[run] = t;

  auto make_task = [&](const Job& job, Worker& worker) {
    int32_t n = 0;
    for (int32_t t = job.begin; t < job.end; ++t) {
      for (int32_t h = job.first_head; h < job.first_head + job.n_heads; ++h, ++n) {
        worker.queries[n] = q.row(t) + static_cast<int64_t>(h) * head_dim;
        worker.positions[n] = step.positions[t];
      }
    }
    const int32_t* pages = step.page_table + static_cast<int64_t>(step.sequence_of[job.begin]) * step.max_pages;
    return AttentionTask{&kv,
                         pages,
                         job.kv_head,
                         0,
                         0,
                         n,
                         worker.queries.data(),
                         worker.positions.data(),
                         ScoreUnit(params.scale, params.softcap),
                         params.window,
                         {nullptr, head_dim}};
  };
  // The tiles of a split that the job's queries see; false when there is none.
  auto set_tiles = [&](AttentionTask& task, int32_t split) {
    const int32_t first_seen = params.window > 0 ? std::max(0, task.positions[0] - params.window + 1) : 0;
    task.first_tile = std::max(split * kSplitTiles, first_seen / kPageTokens);
    task.end_tile = std::min((split + 1) * kSplitTiles, task.positions[task.n_queries - 1] / kPageTokens + 1);
    return task.first_tile < task.end_tile;
  };
  auto finish = [&](const Job& job, const SoftmaxState& total) {
    int64_t row = 0;
    for (int32_t t = job.begin; t < job.end; ++t)
      for (int32_t h = job.first_head; h < job.first_head + job.n_heads; ++h)
        kernels_.ops.finish(out.row(t) + static_cast<int64_t>(h) * head_dim, total, row++);
  };

  const int64_t n_jobs = cut.n_jobs(jobs.n_runs()), job_rows = cut.job_rows(step.n_tokens);
  auto job_at = [&](int64_t i) { return jobs.job(run_begin[jobs.n_runs() - 1 - i / jobs.n_columns()], i % jobs.n_columns()); };
  const SoftmaxState all = states(cut.n_states(jobs.n_runs(), n_splits, step.n_tokens, pool_.size()));
  if (!cut.spreads_splits(jobs.n_runs(), n_splits, step.n_tokens, pool_.size())) {
    // A job at a time per thread, long ones (late tokens) first.
    pool_.parallel_for(n_jobs, 1, [&](int64_t i, int64_t, int worker_id) {
      Worker worker;
      const Job job = job_at(i);
      AttentionTask task = make_task(job, worker);
      const SoftmaxState total{all.row(2 * job_rows * worker_id), head_dim};
      task.state = total;  // the first split's is the beginning of the merged one
      for (int32_t split = 0; split < n_splits; ++split) {
        if (!set_tiles(task, split)) continue;
        kernels_.ops.attention_split(task);
        if (task.state.values != total.values) kernels_.ops.merge(total, task.state, task.n_queries);
        task.state = {total.row(job_rows), head_dim};
      }
      finish(job, total);
    });
    return;
  }

  // Few jobs with long contexts: threads take (job, split) pairs, then the splits of each job are merged in order.
  const SoftmaxState &partial = all, totals{all.row(n_jobs * n_splits * job_rows), head_dim};
  auto state_of = [&](int64_t job, int32_t split) {
    return SoftmaxState{partial.row((job * n_splits + split) * job_rows), head_dim};
  };
  pool_.parallel_for(n_jobs * n_splits, 1, [&](int64_t i, int64_t, int) {
    Worker worker;
    AttentionTask task = make_task(job_at(i / n_splits), worker);
    const int32_t split = static_cast<int32_t>(i % n_splits);
    task.state = state_of(i / n_splits, split);
    if (set_tiles(task, split))
      kernels_.ops.attention_split(task);
    else
      kernels_.ops.begin_merge(task.state, task.n_queries);  // saw nothing
  });
  pool_.parallel_for(n_jobs, 1, [&](int64_t i, int64_t, int) {
    const Job job = job_at(i);
    const int64_t n = static_cast<int64_t>(job.end - job.begin) * job.n_heads;
    const SoftmaxState total{totals.row(i * job_rows), head_dim};
    kernels_.ops.begin_merge(total, n);
    for (int32_t split = 0; split < n_splits; ++split) kernels_.ops.merge(total, state_of(i, split), n);
    finish(job, total);
  });
}

}  // namespace phial::cpu
