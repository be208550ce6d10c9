// The one KV page layout. A page holds kPageTokens tokens of one sequence for one layer.
//   K page: [kv_head][slot / 16][head_dim][16 slots]  (16 keys side by side: one lane = one key)
//   V page: [kv_head][slot][head_dim]                  (one lane = one dimension)
// q8_0: int8 values in those orders, blocks of 32 dimensions per (head, slot); scales (f16) follow all values of the page:
//   K scales [kv_head][slot / 16][head_dim / 32][16 slots], V scales [kv_head][slot][head_dim / 32].
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace phial {

inline constexpr int32_t kPageTokens = 64;
inline constexpr int32_t kKeyLanes = 16;
inline constexpr int32_t kMaxHeadDimQ8 = 1024;  // of a q8_0 cache

/// Bytes of one K or V page.
inline uint64_t kv_page_bytes(DType dtype, int32_t n_kv_heads, int32_t head_dim) {
  const uint64_t values = static_cast<uint64_t>(kPageTokens) * n_kv_heads * head_dim;
  if (dtype == DType::q8_0) return values + values / 32 * 2;
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

}  // namespace phial
