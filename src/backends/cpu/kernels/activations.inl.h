// Activations to int8 or halves in the order the tile kernels read (linear_kernels.h), with the numbers of docs/numerics.md.

constexpr float kSmallestGroup = 1e-30f;  // docs/numerics.md

inline void store_integers(int8_t* q, I32x16 v) { store_i8(q, v); }
inline void store_integers(int16_t* q, I32x16 v) { store_i16(q, v); }

inline float largest_magnitude(const float* x, int n) {
  F32x16 top = zero_f32();
  for (int i = 0; i < n; i += 16) top = max(top, abs(load_first(x + i, n - i)));
  return max_lanes(top);
}

/// n values times `factor` as integers, with room for whole lanes, where store_integers(q + i, lanes) puts them.
template <typename To>
inline void store_rounded(const float* x, int n, float factor, To q) {
  for (int i = 0; i < n; i += 16) store_integers(q + i, to_i32(mul(load_first(x + i, n - i), splat(factor))));
}
/// ops/numerics.h's quantize_to in lanes: n values as integers of at most `limit`; their scale.
template <typename To>
inline float quantize_to(float limit, const float* x, int n, To q) {
  const float amax = largest_magnitude(x, n);
  store_rounded(x, n, amax < kSmallestGroup ? 0.0f : limit / amax, q);
  return amax / limit;
}

/// ops/numerics.h's quantize_to_power in lanes.
template <typename To>
inline float quantize_to_power(const float* x, int n, To q) {
  const PowerScale power(largest_magnitude(x, n));
  store_rounded(x, n, power.inverse, q);
  return power.scale;
}

/// ops/numerics.h's quantize_long_group in lanes.
inline float quantize_long_group(const float* x, int n, int8_t* q) {
  F32x16 high = zero_f32(), low = zero_f32();  // low: the largest of what is below zero, without its sign
  for (int i = 0; i < n; i += 16) {
    const F32x16 v = load_first(x + i, n - i);
    high = max(high, v), low = max(low, sub(zero_f32(), v));
  }
  const float above = max_lanes(high), below = max_lanes(low), top = above >= below ? above : -below;
  const F32x16 inverse = splat(__builtin_fabsf(top) < kSmallestGroup ? 0.0f : -kLongGroupSteps / top);
  const F32x16 limit = splat(kLongGroupTop);
  for (int i = 0; i < n; i += 16) store_integers(q + i, to_i32(min(mul(load_first(x + i, n - i), inverse), limit)));
  return top / -kLongGroupSteps;
}

/// n values as f16, times 2^e that brings the largest magnitude into [2^14, 2^15), so that none overflows and what is up to
/// 2^28 times smaller keeps all bits; returns 2^-e. Exact powers of two, made of the exponent's bits.
inline float halves_of(const float* x, int n, uint16_t* halves) {
  const float amax = largest_magnitude(x, n);
  const uint32_t exponent = __builtin_bit_cast(uint32_t, amax) >> 23 & 0xFF;
  const F32x16 factor = splat(amax < kSmallestGroup ? 0.0f : __builtin_bit_cast(float, (127 + 14 + 127 - exponent) << 23));
  for (int i = 0; i < n; i += 16) store_f16(halves + i, mul(load_first(x + i, n - i), factor));
  return amax < kSmallestGroup ? 0.0f : __builtin_bit_cast(float, (exponent - 14) << 23);
}

/// The aux dwords of a chunk from its sums of 16.
inline void fill_aux(const ActLayout& layout, const int32_t* sum16, int32_t* out) {
  int32_t sum32[8];
  for (int i = 0; i < 8; ++i) sum32[i] = sum16[2 * i] + sum16[2 * i + 1];
  const auto pair = [](int32_t low, int32_t high) {
    return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xFFFFu) | static_cast<uint32_t>(high) << 16);
  };
  switch (layout.aux) {
    case ActAux::none:
      return;
    case ActAux::pairs16:
      for (int i = 0; i < 8; ++i) out[i] = pair(sum16[i / 2 * 4 + i % 2], sum16[i / 2 * 4 + i % 2 + 2]);
      return;
    case ActAux::pairs32:
      for (int i = 0; i < 4; ++i) out[i] = pair(sum32[i / 2 * 4 + i % 2], sum32[i / 2 * 4 + i % 2 + 2]);
      return;
    case ActAux::offset16:
      for (int i = 0; i < 16; ++i) out[i] = -layout.offset * sum16[i];
      return;
    case ActAux::offset32:
      for (int i = 0; i < 8; ++i) out[i] = -layout.offset * sum32[i];
      return;
    case ActAux::offset_group:
      for (int g = 0; g < layout.n_aux; ++g) {
        int32_t sum = 0;
        for (int i = g * layout.group / 16; i < (g + 1) * layout.group / 16; ++i) sum += sum16[i];
        out[g] = -layout.offset * sum;
      }
      return;
    case ActAux::sums32:
      for (int i = 0; i < 8; ++i) out[i] = __builtin_bit_cast(int32_t, static_cast<float>(sum32[i]));
      return;
  }
}

/// Sums of each 16 of a chunk's values, or of those below zero.
template <bool below_zero>
inline void sums_of_16(const int32_t* dwords, int32_t* out) {
  const I32x16 ones = splat(0x01010101);
  I32x16 of_4[4];
  PHIAL_UNROLL
  for (int i = 0; i < 4; ++i) {
    I32x16 q = load(dwords + i * 16);
    if constexpr (below_zero) {
      const I32x16 signs = bits_and(shift_right_bits<7>(q), ones);
      q = bits_and(q, sub(shift_left<8>(signs), signs));  // all bits of the bytes below zero
    }
    of_4[i] = dot_bytes<false>(zero_i32(), ones, q);
  }
  store(out, sums_of_four(of_4));
}

/// Whether a sum of sum_values values times levels may exceed sum_limit, by the sums of the values of each sign.
inline int32_t sums_may_exceed(const ActLayout& layout, const int32_t* dwords, const int32_t* sum16) {
  int32_t below16[kChunkK / 16];
  sums_of_16<true>(dwords, below16);
  int32_t largest = 0;
  const int n16 = layout.sum_values / 16;
  for (int i = 0; i < kChunkK / 16; i += n16) {
    int32_t sum = 0, negative = 0;
    for (int j = i; j < i + n16; ++j) sum += sum16[j], negative -= below16[j];
    const int32_t positive = sum + negative;
    const int32_t above = layout.sum_high * positive + layout.sum_low * negative;
    const int32_t below = layout.sum_low * positive + layout.sum_high * negative;
    largest = above > largest ? above : largest;
    largest = below > largest ? below : largest;
  }
  return largest > layout.sum_limit;
}

/// A chunk's bytes as f16, the middle two of each four exchanged.
inline void bytes_as_f16(const int32_t* dwords, int32_t* out) {
  const I32x16 second = splat(0x0000FF00), third = splat(0x00FF0000), middle = splat(0x00FFFF00);
  for (int i = 0; i < kChunkK / 4; i += 16) {
    const I32x16 v = load(dwords + i);
    const I32x16 exchanged = bits_or(bits_and(shift_left<8>(v), third), bits_and(shift_right_bits<8>(v), second));
    alignas(64) int32_t bytes[16];
    store(bytes, bits_select(middle, exchanged, v));
    for (int j = 0; j < 4; ++j)
      store_f16(reinterpret_cast<uint16_t*>(out + i * 2 + j * 8), load_i8(reinterpret_cast<const int8_t*>(bytes + j * 4)));
  }
}

/// Token t's part of a tile of n: the int8 values.
inline void scatter_steps(const int32_t* values, int n, int t, std::byte* out) {
  for (int i = 0; i < kChunkK / 4; ++i) __builtin_memcpy(out + act_index(i, n, t) * 4, values + i, 4);
}
/// The same of scales and aux dwords.
inline void scatter(const int32_t* values, int count, int n, int t, std::byte* out) {
  for (int i = 0; i < count; ++i) __builtin_memcpy(out + (i * n + t) * 4, values + i, 4);
}
/// Values in runs of 64 bytes, those of AMX tiles.
inline void scatter_runs(const int32_t* values, int count, int n, int t, std::byte* out) {
  for (int i = 0; i < count; i += 16) store(reinterpret_cast<int32_t*>(out + (i * n + t * 16) * 4), load(values + i));
}

constexpr int kValuesAhead = 512;  // floats, asked for early

/// Token t's part of the record of a chunk: `count` values, the others zeros.
inline void quantize_chunk(const ActLayout& layout, const float* row, int count, int n_slots, int t, std::byte* out) {
  if (layout.values == ActValues::f32) {
    for (int i = 0; i < count; ++i) __builtin_memcpy(out + (i * n_slots + t) * 4, row + i, 4);
    return;
  }
  if (layout.values == ActValues::bf16 || layout.values == ActValues::f16) {
    alignas(64) uint16_t halves[kPairChunkK] = {};
    if (layout.values == ActValues::f16) {
      const int32_t scale = __builtin_bit_cast(int32_t, halves_of(row, count, halves));
      scatter(&scale, 1, n_slots, t, out + layout.value_bytes() * n_slots);
    } else {
      for (int i = 0; i < count; ++i) halves[i] = f32_to_bf16(row[i]);
    }
    int32_t dwords[kPairChunkK / 2];
    __builtin_memcpy(dwords, halves, sizeof halves);
    if (layout.run == 4)
      scatter(dwords, kPairChunkK / 2, n_slots, t, out);
    else
      scatter_runs(dwords, kPairChunkK / 2, n_slots, t, out);
    return;
  }
  alignas(64) int32_t dwords[kChunkK / 4] = {};
  int8_t* q = reinterpret_cast<int8_t*>(dwords);
  int32_t scales[kChunkK / 32] = {};
  for (int g = 0; g * layout.group < count; ++g) {
    const int at = g * layout.group, length = count - at < layout.group ? count - at : layout.group;
    const float scale = layout.group > kShortGroup ? quantize_long_group(row + at, length, q + at)
                                                   : quantize_to(127.0f, row + at, length, q + at);
    scales[g] = __builtin_bit_cast(int32_t, scale);
  }
  int32_t sum16[kChunkK / 16];
  sums_of_16<false>(dwords, sum16);
  int32_t aux[16 + 1];
  fill_aux(layout, sum16, aux);
  if (layout.sum_values > 0) aux[layout.n_aux - 1] = sums_may_exceed(layout, dwords, sum16);
  const int n_groups = layout.chunk_k / layout.group;
  if (layout.values == ActValues::i8_as_f16) {
    int32_t halves[kChunkK / 2];
    bytes_as_f16(dwords, halves);
    scatter_runs(halves, kChunkK / 2, n_slots, t, out);
  } else if (layout.run == 4) {
    scatter_steps(dwords, n_slots, t, out);
  } else {
    scatter_runs(dwords, kChunkK / 4, n_slots, t, out);
  }
  std::byte* const scales_out = out + layout.value_bytes() * n_slots;
  scatter(scales, n_groups, n_slots, t, scales_out);
  scatter(aux, layout.n_aux, n_slots, t, scales_out + n_groups * 4 * n_slots);
}

inline void quantize_tile(const ActLayout& layout, const float* x, int64_t stride, int n, int64_t n_cols, std::byte* out,
                          int64_t chunk_stride) {
  const int n_slots = static_cast<int>(layout.room(n));
  if (n < n_slots)
    for (int64_t begin = 0, c = 0; begin < n_cols; begin += layout.chunk_k, ++c)
      __builtin_memset(out + c * chunk_stride, 0, static_cast<size_t>(n_slots * layout.token_bytes()));
  // A row at a time, as memory is read best.
  for (int t = 0; t < n; ++t)
    for (int64_t begin = 0, c = 0; begin < n_cols; begin += layout.chunk_k, ++c) {
      const float* row = x + t * stride + begin;
      const int count = n_cols - begin < layout.chunk_k ? static_cast<int>(n_cols - begin) : layout.chunk_k;
      for (int i = 0; i < layout.chunk_k; i += 16) __builtin_prefetch(row + kValuesAhead + i);
      quantize_chunk(layout, row, count, n_slots, t, out + c * chunk_stride);
    }
}
