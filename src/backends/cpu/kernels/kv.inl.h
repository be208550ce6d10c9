// One head of one token written to its slot of a K or V page, in the page's format.

/// The head as it is stored: f16 bits, or int8 blocks of 32 with f16 scales. Room for whole lanes.
inline void to_f16(const float* x, int32_t n, uint16_t* out) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) store_f16(out + i, load(x + i));
  if (i < n) store_f16(out + i, load_first(x + i, n - i));
}

inline uint16_t one_f16(float x) {
  uint16_t lanes[16];
  store_f16(lanes, splat(x));
  return lanes[0];
}

/// Where the scales of one head begin in an i16 page, in bytes.
inline int64_t slot_scales_at(const KvLayer& kv, int32_t head) {
  return static_cast<int64_t>(kPageTokens) * kv.n_kv_heads * kv.head_dim * 2 + slot_scale_index(0, head, 0, 0) * 4;
}
inline void store_scale(std::byte* page, const KvLayer& kv, int32_t head, int32_t slot, float scale) {
  reinterpret_cast<float*>(page + slot_scales_at(kv, head))[slot] = scale;
}

/// Words of one slot, each beside that of the other slot of its pair.
struct SlotWords {
  int32_t* line;
  bool is_second;
  SlotWords operator+(int64_t i) const { return {line + i, is_second}; }
};
inline void store_integers(SlotWords to, I32x16 v) {
  const I32x16 line = load(to.line), low = splat(0xFFFF);
  store(to.line, to.is_second ? bits_or(bits_and(line, low), shift_left<16>(v))
                              : bits_or(bits_and(line, splat(static_cast<int32_t>(0xFFFF0000))), bits_and(v, low)));
}

constexpr int32_t kHeadChunk = 64;  // dimensions converted at once

inline void store_k(std::byte* page, const KvLayer& kv, int32_t head, int32_t slot, const float* x) {
  const int64_t at = k_index(kv.head_dim, head, slot, 0);
  if (kv.k_dtype == DType::f32) {
    float* to = reinterpret_cast<float*>(page) + at;
    for (int32_t d = 0; d < kv.head_dim; ++d) to[d * kKeyLanes] = x[d];
  } else if (kv.k_dtype == DType::f16) {
    uint16_t* to = reinterpret_cast<uint16_t*>(page) + at;
    for (int32_t d0 = 0; d0 < kv.head_dim; d0 += kHeadChunk) {
      uint16_t bits[kHeadChunk];
      const int32_t n = kv.head_dim - d0 < kHeadChunk ? kv.head_dim - d0 : kHeadChunk;
      to_f16(x + d0, n, bits);
      for (int32_t d = 0; d < n; ++d) to[(d0 + d) * kKeyLanes] = bits[d];
    }
  } else if (kv.k_dtype == DType::i16) {
    std::byte* to = page + k_pair_index(kv.head_dim, head, slot, 0) * 2;
    int16_t words[kMaxHeadDimI16];
    store_scale(page, kv, head, slot, quantize_to(kMaxWord, x, kv.head_dim, words));
    for (int32_t d = 0; d < kv.head_dim; d += 2) __builtin_memcpy(to + d * kKeyLanes * 2, words + d, 4);
  } else {
    int8_t* to = reinterpret_cast<int8_t*>(page) + at;
    uint16_t* scales = reinterpret_cast<uint16_t*>(page + static_cast<int64_t>(kPageTokens) * kv.n_kv_heads * kv.head_dim);
    for (int32_t d0 = 0; d0 < kv.head_dim; d0 += 32) {
      int8_t q[32];
      scales[k_scale_index(kv.head_dim, head, slot, d0)] = one_f16(quantize_to(127.0f, x + d0, 32, q));
      for (int32_t d = 0; d < 32; ++d) to[(d0 + d) * kKeyLanes] = q[d];
    }
  }
}

inline void store_v(std::byte* page, const KvLayer& kv, int32_t head, int32_t slot, const float* x) {
  const int64_t at = v_index(kv.head_dim, head, slot, 0);
  if (kv.v_dtype == DType::f32) {
    __builtin_memcpy(reinterpret_cast<float*>(page) + at, x, static_cast<size_t>(kv.head_dim) * 4);
  } else if (kv.v_dtype == DType::f16) {
    for (int32_t d0 = 0; d0 < kv.head_dim; d0 += kHeadChunk) {
      uint16_t bits[kHeadChunk];
      const int32_t n = kv.head_dim - d0 < kHeadChunk ? kv.head_dim - d0 : kHeadChunk;
      to_f16(x + d0, n, bits);
      __builtin_memcpy(reinterpret_cast<uint16_t*>(page) + at + d0, bits, static_cast<size_t>(n) * 2);
    }
  } else if (kv.v_dtype == DType::i16) {
    const SlotWords to{reinterpret_cast<int32_t*>(page) + v_pair_index(kv.head_dim, head, slot, 0) / 2, slot % 2 != 0};
    if (kv.head_dim % 16 == 0) return store_scale(page, kv, head, slot, quantize_to_power(x, kv.head_dim, to));
    int16_t words[kMaxHeadDimI16];
    store_scale(page, kv, head, slot, quantize_to_power(x, kv.head_dim, words));
    int16_t* const first = reinterpret_cast<int16_t*>(to.line) + to.is_second;
    for (int32_t d = 0; d < kv.head_dim; ++d) first[d * 2] = words[d];
  } else {
    int8_t* to = reinterpret_cast<int8_t*>(page) + at;
    uint16_t* scales = reinterpret_cast<uint16_t*>(page + static_cast<int64_t>(kPageTokens) * kv.n_kv_heads * kv.head_dim);
    for (int32_t d0 = 0; d0 < kv.head_dim; d0 += 32)
      scales[v_scale_index(kv.head_dim, head, slot, d0)] = one_f16(quantize_to(127.0f, x + d0, 32, to + d0));
  }
}
