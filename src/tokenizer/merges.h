// Merging symbols by rank: the one engine behind byte-level BPE and SentencePiece.
// O(n log n) in the length of a word, no recursion.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/pair_queue.h"

namespace phial {

constexpr uint32_t kNoMerge = UINT32_MAX;

/// A pair of symbols -> its rank (lower goes first; equal ranks: leftmost first) and the symbol it becomes.
class PairTable {
 public:
  struct Entry {
    uint32_t rank = kNoMerge;
    int32_t result = -1;
  };

  PairTable() : PairTable(0) {}
  explicit PairTable(size_t n_pairs);
  /// A pair set twice keeps the last.
  void set(int32_t left, int32_t right, Entry entry);
  Entry find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t i = place(key);; i = (i + 1) & mask_) {
      const Slot& s = slots_[i];
      if (s.key == key) return s.entry;
      if (s.key == kEmpty) return {};
    }
  }

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Entry entry;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t place(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> shift_) & mask_; }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
};

/// Scratch memory of merge_symbols, kept between words.
struct MergeScratch {
  std::vector<uint32_t> previous, next, rank;
  std::vector<int32_t> result;
  PairQueue queue;
};

/// Merges `symbols` in place until no pair has a rank; returns how many are left at the front. Symbols < 0 never merge.
size_t merge_symbols(const PairTable& pairs, std::span<int32_t> symbols, MergeScratch& scratch);

}  // namespace phial
