// Memory of one step: a bump allocator with marks. The same step takes the same addresses; nothing is freed piecewise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace phial {

class Workspace {
 public:
  /// Room for `capacity` bytes at `base` (64-byte aligned); base may be null when only counting (plan).
  Workspace(std::byte* base, uint64_t capacity) : base_(base), capacity_(capacity) {}

  /// 64-byte aligned; throws NOMEM when the room is spent.
  std::byte* take(uint64_t n_bytes);
  Tensor tensor(int64_t n_rows, int64_t n_cols);  // dense: stride = n_cols rounded up to 16 values

  uint64_t mark() const { return used_; }
  void release(uint64_t mark) { used_ = mark; }
  uint64_t peak() const { return peak_; }

 private:
  std::byte* base_;
  uint64_t capacity_, used_ = 0, peak_ = 0;
};

/// Gives back what was taken in its scope.
class WorkspaceScope {
 public:
  explicit WorkspaceScope(Workspace& w) : w_(w), mark_(w.mark()) {}
  ~WorkspaceScope() { w_.release(mark_); }
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

 private:
  Workspace& w_;
  uint64_t mark_;
};

}  // namespace phial
