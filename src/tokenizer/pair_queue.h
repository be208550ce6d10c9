// A queue of (rank, position), lowest rank first, then lowest position. Made for the merges of long words: few distinct ranks,
// and positions of one rank that mostly come in order, so that most pushes and pops cost a constant.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace phial {

class PairQueue {
 public:
  void clear() {
    for (uint32_t b = 0; b < n_buckets_; ++b) buckets_[b].clear();
    n_buckets_ = 0;
    ranks_.clear();
    slots_.assign(slots_.empty() ? 64 : slots_.size(), Slot{});
  }

  void push(uint32_t rank, uint32_t position) {
    Bucket& b = bucket(rank);
    if (b.empty()) {
      b.clear();
      ranks_.push_back(rank);
      std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    }
    if (b.in_order.empty() || b.in_order.back() <= position) {
      b.in_order.push_back(position);
    } else {
      b.late.push_back(position);
      std::push_heap(b.late.begin(), b.late.end(), std::greater<>());
    }
  }

  /// False when the queue is empty.
  bool pop(uint32_t& rank, uint32_t& position) {
    if (ranks_.empty()) return false;
    rank = ranks_.front();
    Bucket& b = bucket(rank);
    if (b.cursor == b.in_order.size() || (!b.late.empty() && b.late.front() < b.in_order[b.cursor])) {
      std::pop_heap(b.late.begin(), b.late.end(), std::greater<>());
      position = b.late.back();
      b.late.pop_back();
    } else {
      position = b.in_order[b.cursor++];
    }
    if (b.empty()) {
      std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
      ranks_.pop_back();
    }
    return true;
  }

 private:
  struct Bucket {
    std::vector<uint32_t> in_order, late;  // from cursor on ascending; a heap
    size_t cursor = 0;
    bool empty() const { return cursor == in_order.size() && late.empty(); }
    void clear() {
      in_order.clear();
      late.clear();
      cursor = 0;
    }
  };
  struct Slot {
    uint32_t rank = UINT32_MAX, bucket = 0;
  };

  Bucket& bucket(uint32_t rank) {
    size_t i = place(rank);
    for (; slots_[i].rank != UINT32_MAX; i = (i + 1) & (slots_.size() - 1))
      if (slots_[i].rank == rank) return buckets_[slots_[i].bucket];
    if ((n_buckets_ + 1) * 2 > slots_.size()) {
      std::vector<Slot> old(slots_.size() * 4);
      old.swap(slots_);
      for (const Slot& s : old)
        if (s.rank != UINT32_MAX) slots_[free_place(s.rank)] = s;
      i = free_place(rank);
    }
    slots_[i] = {rank, n_buckets_};
    if (n_buckets_ == buckets_.size()) buckets_.emplace_back();
    return buckets_[n_buckets_++];
  }
  size_t place(uint32_t rank) const { return (rank * 0x9E3779B1u >> 7) & (slots_.size() - 1); }
  size_t free_place(uint32_t rank) const {
    size_t i = place(rank);
    while (slots_[i].rank != UINT32_MAX) i = (i + 1) & (slots_.size() - 1);
    return i;
  }

  std::vector<Bucket> buckets_;  // the first n_buckets_ are in use; the rest keep their memory
  uint32_t n_buckets_ = 0;
  std::vector<Slot> slots_ = std::vector<Slot>(64);  // rank -> bucket, open addressing
  std::vector<uint32_t> ranks_;                      // heap of the ranks whose bucket is not empty
};

}  // namespace phial
