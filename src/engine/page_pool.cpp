// A stack of free pages.
#include "engine/page_pool.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "base/fail.h"

namespace phial {

PagePool::PagePool(int64_t n_pages) : n_pages_(n_pages), free_(static_cast<size_t>(n_pages)) {
  std::iota(free_.rbegin(), free_.rend(), 0);
}

bool PagePool::grow(std::vector<int32_t>& pages, int64_t wanted) {
  const int64_t missing = wanted - static_cast<int64_t>(pages.size());
  if (missing > n_free()) return false;
  for (int64_t i = 0; i < missing; ++i) {
    pages.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void PagePool::shrink(std::vector<int32_t>& pages, int64_t kept) {
  while (static_cast<int64_t>(pages.size()) > kept) {
    free_.push_back(pages.back());
    pages.pop_back();
  }
  PHIAL_CHECK(n_free() <= n_pages_);
}

void PagePool::shuffle(uint32_t seed) {
  std::mt19937 rng(seed);
  for (size_t i = free_.size(); i > 1; --i) std::swap(free_[i - 1], free_[rng() % i]);
}

}  // namespace phial
