// Entry points of the kernels beside the matrix products: norms, rotation, element-wise, KV store, attention.
// Each works on one row, or on one task of a thread; the .cpp files beside this one split the work.
#pragma once

#include <cstdint>

#include "ops/numerics.h"
#include "tensor/kv_layout.h"
#include "tensor/stream.h"

namespace phial::cpu {

/// The running softmax of one query: head_dim values (room in whole lanes), then the maximum and the sum.
struct SoftmaxState {
  float* values;  // 64-byte aligned
  int32_t head_dim;

  static int64_t floats(int32_t head_dim) { return (head_dim + 15) / 16 * 16 + 16; }
  int64_t stride() const { return floats(head_dim); }
  float* row(int64_t i) const { return values + i * stride(); }
  float& max(int64_t i) const { return row(i)[stride() - 16]; }
  float& sum(int64_t i) const { return row(i)[stride() - 15]; }
};

/// Queries that read one KV head, over tiles [first_tile, end_tile) of one split. Positions do not decrease.
struct AttentionTask {
  const KvLayer* kv;
  const int32_t* pages;  // of the sequence
  int32_t kv_head;
  int32_t first_tile, end_tile;
  int32_t n_queries;  // <= kMaxQueries
  const float* const* queries;
  const int32_t* positions;  // one per query
  ScoreUnit unit;
  int32_t window;
  SoftmaxState state;  // one row per query, written from scratch
};
inline constexpr int kMaxQueries = 512;

/// What becomes of the sums of a matrix product; _past: written past the caches, whole lines, which a fence has to follow.
enum class LineEnd : uint8_t { write, write_past, add, swiglu, swiglu_past };

struct OpKernels {
  void (*rms_norm)(float* out, const float* x, const float* weight, int64_t n, float eps);
  void (*add)(float* out, const float* a, const float* b, int64_t n);
  void (*swiglu)(float* out, const float* gate, const float* up, int64_t n);
  /// One token's sums of n blocks of two panels, to `to`: 32 values a block, or 16 whose gates are the first panel. The panels'
  /// sums lie `apart` values apart, the blocks' `stride`.
  void (*finish_blocks)(float* to, const float* sums, int64_t apart, int64_t stride, int64_t n, LineEnd end);
  void (*rope)(float* x, int64_t n_heads, int64_t head_dim, RopeKind kind, const float* cos_sin, int64_t n_rot);
  /// One token's head, K and V, to its slot of a page.
  void (*store_k)(std::byte* page, const KvLayer& kv, int32_t head, int32_t slot, const float* x);
  void (*store_v)(std::byte* page, const KvLayer& kv, int32_t head, int32_t slot, const float* x);

  void (*attention_split)(const AttentionTask& task);
  void (*begin_merge)(const SoftmaxState& total, int64_t n_rows);
  void (*merge)(const SoftmaxState& total, const SoftmaxState& split, int64_t n_rows);
  void (*finish)(float* out, const SoftmaxState& total, int64_t row);
};

}  // namespace phial::cpu
