// The free pages of the KV cache, shared by all sequences.
#pragma once

#include <cstdint>
#include <vector>

namespace phial {

class PagePool {
 public:
  explicit PagePool(int64_t n_pages);

  int64_t n_pages() const { return n_pages_; }
  int64_t n_free() const { return static_cast<int64_t>(free_.size()); }
  /// Appends pages until `pages` has `wanted` of them; takes none and returns false when there are not enough.
  bool grow(std::vector<int32_t>& pages, int64_t wanted);
  /// Gives back the pages beyond the first `kept`.
  void shrink(std::vector<int32_t>& pages, int64_t kept);
  /// Puts the free pages into another order, fixed by the seed: results must not depend on where a page lies.
  void shuffle(uint32_t seed);

 private:
  int64_t n_pages_;
  std::vector<int32_t> free_;  // taken from the end
};

}  // namespace phial
