// Short words: the best pair by scanning. Long words: a linked list and a queue of (rank, position) with stale entries skipped.
#include "tokenizer/merges.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace phial {
namespace {

constexpr size_t kScanLength = 48;
constexpr uint32_t kEnd = UINT32_MAX;

size_t merge_by_scan(const PairTable& pairs, std::span<int32_t> s) {
  size_t n = s.size();
  PairTable::Entry at[kScanLength];  // of the pair (i, i + 1)
  for (size_t i = 0; i + 1 < n; ++i) at[i] = pairs.find(s[i], s[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (at[i].rank < at[best].rank) best = i;
    if (at[best].rank == kNoMerge) break;
    s[best] = at[best].result;
    std::memmove(&s[best + 1], &s[best] + 2, (n - best - 2) * sizeof(int32_t));
    if (best + 2 < n) std::memmove(&at[best], &at[best] + 1, (n - best - 2) * sizeof(at[0]));
    --n;
    if (best > 0) at[best - 1] = pairs.find(s[best - 1], s[best]);
    if (best + 1 < n) at[best] = pairs.find(s[best], s[best + 1]);
  }
  return n;
}

}  // namespace

PairTable::PairTable(size_t n_pairs) {
  const size_t n = std::bit_ceil(std::max<size_t>(n_pairs * 2, 16));
  slots_.resize(n);
  mask_ = n - 1;
  shift_ = 64 - std::countr_zero(n);
}

void PairTable::set(int32_t left, int32_t right, Entry entry) {
  const uint64_t key = key_of(left, right);
  size_t i = place(key);
  while (slots_[i].key != key && slots_[i].key != kEmpty) i = (i + 1) & mask_;
  slots_[i] = {key, entry};
}

size_t merge_symbols(const PairTable& pairs, std::span<int32_t> s, MergeScratch& m) {
  if (s.size() < 2) return s.size();
  if (s.size() <= kScanLength) return merge_by_scan(pairs, s);
  const auto n = static_cast<uint32_t>(s.size());
  m.previous.resize(n);
  m.next.resize(n);
  m.rank.resize(n);
  m.result.resize(n);
  m.queue.clear();
  auto look_up = [&](uint32_t i) {  // the pair (i, next[i]); true when it can merge
    const PairTable::Entry e = m.next[i] == kEnd ? PairTable::Entry{} : pairs.find(s[i], s[m.next[i]]);
    m.rank[i] = e.rank;
    m.result[i] = e.result;
    return e.rank != kNoMerge;
  };
  for (uint32_t i = 0; i < n; ++i) {
    m.previous[i] = i == 0 ? kEnd : i - 1;
    m.next[i] = i + 1 == n ? kEnd : i + 1;
    if (look_up(i)) m.queue.push(m.rank[i], i);
  }
  for (uint32_t rank, i; m.queue.pop(rank, i);) {
    if (m.rank[i] != rank) continue;
    const uint32_t gone = m.next[i];
    s[i] = m.result[i];
    m.rank[gone] = kNoMerge;
    m.next[i] = m.next[gone];
    if (m.next[i] != kEnd) m.previous[m.next[i]] = i;
    if (m.previous[i] != kEnd && look_up(m.previous[i])) m.queue.push(m.rank[m.previous[i]], m.previous[i]);
    if (look_up(i)) m.queue.push(m.rank[i], i);
  }
  size_t left = 0;
  for (uint32_t i = 0; i != kEnd; i = m.next[i]) s[left++] = s[i];
  return left;
}

}  // namespace phial
