// Row-wise work over the thread pool; small steps stay on the caller, since starting threads costs microseconds.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace phial::cpu {

/// Calls f(row) for each row. `row_cost` is the number of values a row touches.
template <typename F>
void for_rows(ThreadPool& pool, int64_t n_rows, int64_t row_cost, F&& f) {
  constexpr int64_t kSmall = 1 << 15, kPiece = 1 << 14;  // values
  if (n_rows * row_cost <= kSmall || n_rows == 1 || pool.size() == 1) {
    for (int64_t i = 0; i < n_rows; ++i) f(i);
    return;
  }
  const int64_t piece = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, row_cost));
  pool.parallel_for(n_rows, piece, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace phial::cpu
