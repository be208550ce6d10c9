// The one KV page layout. A page holds kPageTokens tokens of one sequence for one layer.
//   K page: [kv_head][slot / 16][head_dim][16 slots]  (16 keys side by side: one lane = one key)
//   V page: [kv_head][slot][head_dim]                  (one lane = one dimension)
// q8_0: int8 values in those orders, blocks of 32 dimensions per (head, slot); scales (f16) follow all values of the page:
//   K scales [kv_head][slot / 16][head_dim / 32][16 slots], V scales [kv_head][slot][head_dim / 32].
// i16: integers of at most 362 (K) or 256 (V) in words, two that are multiplied together side by side, a scale (f32) per (head,
// slot) after all values:
//   K page: [kv_head][slot / 16][head_dim / 2][16 slots][2], V page: [kv_head][slot / 2][head_dim][2], scales [kv_head][slot].
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace phial {

inline constexpr int32_t kPageTokens = 64;
inline constexpr int32_t kKeyLanes = 16;
inline constexpr int32_t kMaxHeadDimQ8 = 1024;  // of a q8_0 cache
inline constexpr int32_t kMaxHeadDimI16 = 512;  // of an i16 cache

/// Whether the cache can hold heads of this size in the format.
inline bool kv_holds(DType dtype, int32_t head_dim) {
  if (dtype == DType::q8_0) return head_dim % 32 == 0 && head_dim <= kMaxHeadDimQ8;
  if (dtype == DType::i16) return head_dim % 2 == 0 && head_dim <= kMaxHeadDimI16;
  return dtype == DType::f32 || dtype == DType::f16;
}

/// Bytes of one K or V page.
inline uint64_t kv_page_bytes(DType dtype, int32_t n_kv_heads, int32_t head_dim) {
  const uint64_t values = static_cast<uint64_t>(kPageTokens) * n_kv_heads * head_dim;
  if (dtype == DType::q8_0) return values + values / 32 * 2;
  if (dtype == DType::i16) return values * 2 + static_cast<uint64_t>(kPageTokens) * n_kv_heads * 4;
  return values * (dtype == DType::f32 ? 4 : 2);
}

/// Index of value (head, slot, d) in a K page, and of its q8_0 scale among the page's scales.
inline int64_t k_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return ((static_cast<int64_t>(head) * (kPageTokens / kKeyLanes) + slot / kKeyLanes) * head_dim + d) * kKeyLanes +
         slot % kKeyLanes;
}
inline int64_t k_scale_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return k_index(head_dim / 32, head, slot, d / 32);
}
inline int64_t v_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return (static_cast<int64_t>(head) * kPageTokens + slot) * head_dim + d;
}
inline int64_t v_scale_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return v_index(head_dim / 32, head, slot, d / 32);
}
inline int64_t k_pair_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return k_index(head_dim / 2, head, slot, d / 2) * 2 + d % 2;
}
inline int64_t v_pair_index(int32_t head_dim, int32_t head, int32_t slot, int32_t d) {
  return ((static_cast<int64_t>(head) * (kPageTokens / 2) + slot / 2) * head_dim + d) * 2 + slot % 2;
}
inline int64_t slot_scale_index(int32_t, int32_t head, int32_t slot, int32_t) {
  return static_cast<int64_t>(head) * kPageTokens + slot;
}

/// Where the values and scales of one format lie in K or V pages.
struct KvPageLayout {
  using Index = int64_t (*)(int32_t head_dim, int32_t head, int32_t slot, int32_t d);
  int64_t value_bytes, scale_bytes;  // scale_bytes 0: none
  int32_t scale_run;                 // dimensions that share a scale; 0: the whole head
  Index index, scale_index;

  KvPageLayout(DType dtype, bool is_key)
      : value_bytes(dtype == DType::q8_0  ? 1
                    : dtype == DType::f32 ? 4
                                          : 2),
        scale_bytes(dtype == DType::q8_0  ? 2
                    : dtype == DType::i16 ? 4
                                          : 0),
        scale_run(dtype == DType::q8_0 ? 32 : 0),
        index(dtype == DType::i16 ? (is_key ? k_pair_index : v_pair_index)
              : is_key            ? k_index
                                  : v_index),
        scale_index(dtype == DType::i16 ? slot_scale_index
                    : is_key            ? k_scale_index
                                        : v_scale_index) {}
};

}  // namespace phial
