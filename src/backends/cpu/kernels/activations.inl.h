// Activations to int8 or halves in the order the tile kernels read (linear_kernels.h), with the numbers of docs/numerics.md.

constexpr float kSmallestGroup = 1e-30f;  // docs/numerics.md

inline void store_integers(int8_t* q, I32x16 v) { store_i8(q, v); }
inline void store_integers(int16_t* q, I32x16 v) { store_i16(q, v); }
/// What lanes(i) makes of values i to i + 15, for i in 0, 16 ... below n, with room for whole lanes, where
/// store_integers(q + i, lanes) puts them.
template <typename To, typename Lanes>
inline void store_all(To q, int n, Lanes lanes) {
  for (int i = 0; i < n; i += 16) store_integers(q + i, lanes(i));
}
template <typename Lanes>
inline void store_all(int8_t* q, int n, Lanes lanes) {
  int i = 0;
  for (; i + 64 <= n; i += 64) {  // a line at once, else who reads lines waits for its parts
    const I32x16 v[4] = {lanes(i), lanes(i + 16), lanes(i + 32), lanes(i + 48)};
    store(reinterpret_cast<int32_t*>(q + i), bytes_of(v));
  }
  for (; i < n; i += 16) store_integers(q + i, lanes(i));
}

inline float largest_magnitude(const float* x, int n) {
  F32x16 top = zero_f32();
  for (int i = 0; i < n; i += 16) top = max(top, abs(load_first(x + i, n - i)));
  return max_lanes(top);
}

/// n values times `factor` as integers.
template <typename To>
inline void store_rounded(const float* x, int n, float factor, To q) {
  store_all(q, n, [=](int i) { return to_i32(mul(load_first(x + i, n - i), splat(factor))); });
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

/// The groups of a whole chunk, of kShortGroup values each, as quantize_to does one, but their largest magnitudes and factors
/// side by side.
inline void quantize_short_groups(float limit, const float* x, int8_t* q, int32_t* scales) {
  constexpr int n_groups = kChunkK / kShortGroup;
  static_assert(kShortGroup == 32);
  alignas(64) float rows[16][16] = {}, factors[16];
  for (int g = 0; g < n_groups; ++g) store(rows[g], max(abs(load(x + g * 32)), abs(load(x + g * 32 + 16))));
  const F32x16 amax = max_of_rows(rows, n_groups);
  store(factors, select(less(amax, splat(kSmallestGroup)), zero_f32(), div(splat(limit), amax)));
  store_first(reinterpret_cast<float*>(scales), div(amax, splat(limit)), n_groups);
  store_all(q, kChunkK, [&](int i) { return to_i32(mul(load(x + i), splat(factors[i / 32]))); });
}

/// ops/numerics.h's quantize_long_group in lanes.
inline float quantize_long_group(const float* x, int n, int8_t* q) {
  F32x16 high[2], low[2];  // low: the largest of what is below zero, without its sign
  for (int j = 0; j < 2; ++j) high[j] = low[j] = zero_f32();
  const auto see = [&](int j, F32x16 v) { high[j] = max(high[j], v), low[j] = max(low[j], sub(zero_f32(), v)); };
  int at = 0;
  for (; at + 64 <= n; at += 64) {
    see(0, load(x + at)), see(1, load(x + at + 16)), see(0, load(x + at + 32)), see(1, load(x + at + 48));
  }
  for (; at < n; at += 16) see(0, load_first(x + at, n - at));
  const float above = max_lanes(max(high[0], high[1])), below = max_lanes(max(low[0], low[1])),
              top = above >= below ? above : -below;
  const F32x16 inverse = splat(__builtin_fabsf(top) < kSmallestGroup ? 0.0f : -kLongGroupSteps / top);
  const F32x16 limit = splat(kLongGroupTop);
  store_all(q, n, [=](int i) { return to_i32(min(mul(load_first(x + i, n - i), inverse), limit)); });
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
  alignas(64) int32_t below16[kChunkK / 16], high[kChunkK / 16], low[kChunkK / 16];
  sums_of_16<true>(dwords, below16);
  const I32x16 negative = sub(zero_i32(), load(below16)), positive = add(load(sum16), negative);
  const I32x16 top = splat(layout.sum_high), bottom = splat(layout.sum_low);
  store(high, add(mul(top, positive), mul(bottom, negative)));
  store(low, add(mul(bottom, positive), mul(top, negative)));
  const auto largest = [&](auto n16) {  // of a sub-block or of the chunk
    int32_t most = 0;
    PHIAL_UNROLL
    for (int i = 0; i < kChunkK / 16; i += decltype(n16)::value) {
      int32_t above = 0, below = 0;
      PHIAL_UNROLL
      for (int j = i; j < i + decltype(n16)::value; ++j) above += high[j], below += low[j];
      most = above > most ? above : most;
      most = below > most ? below : most;
    }
    return most;
  };
  const int most = layout.sum_values == 16   ? largest(TokenCount<1>())
                   : layout.sum_values == 32 ? largest(TokenCount<2>())
                                             : largest(TokenCount<kChunkK / 16>());
  return most > layout.sum_limit;
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

/// What the kernels that take tokens by turns read of a chunk of n tokens: of each step the dwords of all.
inline void interleave_tokens(const int32_t (*values)[kChunkK / 4], int n, std::byte* out) {
  if constexpr (kInterleavesSix) {
    if (n == 6) {
      for (int i = 0; i < kChunkK / 4; i += 16) {
        const I32x16 v[6] = {load(values[0] + i), load(values[1] + i), load(values[2] + i),
                             load(values[3] + i), load(values[4] + i), load(values[5] + i)};
        interleave_six(v, reinterpret_cast<int32_t*>(out) + i * 6);
      }
      return;
    }
  }
  for (int t = 0; t < n; ++t)
    for (int i = 0; i < kChunkK / 4; ++i) __builtin_memcpy(out + act_index(i, n, t) * 4, values[t] + i, 4);
}
/// Scales and aux dwords of token t in a tile of n.
inline void scatter(const int32_t* values, int count, int n, int t, std::byte* out) {
  for (int i = 0; i < count; ++i) __builtin_memcpy(out + (i * n + t) * 4, values + i, 4);
}
/// Values in runs of 64 bytes, those of AMX tiles.
inline void scatter_runs(const int32_t* values, int count, int n, int t, std::byte* out) {
  for (int i = 0; i < count; i += 16) store(reinterpret_cast<int32_t*>(out + (i * n + t * 16) * 4), load(values + i));
}

constexpr int kValuesAhead = 512;  // floats, asked for early

/// Token t's part of the record of a chunk: `count` values, the others zeros. Of int8 values that tokens have by turns (run ==
/// 4), all but these, which go to `values`.
inline void quantize_chunk(const ActLayout& layout, const float* row, int count, int n_slots, int t, std::byte* out,
                           int32_t (&values)[kChunkK / 4]) {
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
  int8_t* q = reinterpret_cast<int8_t*>(values);
  if (count < kChunkK) __builtin_memset(values, 0, sizeof values);
  int32_t scales[kChunkK / 32] = {};
  if (layout.group <= kShortGroup && count == kChunkK) {
    quantize_short_groups(127.0f, row, q, scales);
  } else {
    for (int g = 0; g * layout.group < count; ++g) {
      const int at = g * layout.group, length = count - at < layout.group ? count - at : layout.group;
      const float scale = layout.group > kShortGroup ? quantize_long_group(row + at, length, q + at)
                                                     : quantize_to(127.0f, row + at, length, q + at);
      scales[g] = __builtin_bit_cast(int32_t, scale);
    }
  }
  int32_t sum16[kChunkK / 16];
  sums_of_16<false>(values, sum16);
  int32_t aux[16 + 1];
  fill_aux(layout, sum16, aux);
  if (layout.sum_values > 0) aux[layout.n_aux - 1] = sums_may_exceed(layout, values, sum16);
  const int n_groups = layout.chunk_k / layout.group;
  if (layout.values == ActValues::i8_as_f16) {
    int32_t halves[kChunkK / 2];
    bytes_as_f16(values, halves);
    scatter_runs(halves, kChunkK / 2, n_slots, t, out);
  } else if (layout.run != 4) {
    scatter_runs(values, kChunkK / 4, n_slots, t, out);
  }
  std::byte* const scales_out = out + layout.value_bytes() * n_slots;
  scatter(scales, n_groups, n_slots, t, scales_out);
  scatter(aux, layout.n_aux, n_slots, t, scales_out + n_groups * 4 * n_slots);
}

constexpr int kChunksAtOnce = 8;  // of which the tokens' values are interleaved then
constexpr int kTurnTokens = packed_tokens() > kTileTokens ? packed_tokens() : kTileTokens;  // of a tile, at most

inline void quantize_tile(const ActLayout& layout, const float* x, int64_t stride, int n, int64_t n_cols, std::byte* out,
                          int64_t chunk_stride) {
  const int n_slots = static_cast<int>(layout.room(n));
  const bool by_turns = layout.values == ActValues::i8 && layout.run == 4;
  if (n < n_slots)
    for (int64_t begin = 0, c = 0; begin < n_cols; begin += layout.chunk_k, ++c)
      __builtin_memset(out + c * chunk_stride, 0, static_cast<size_t>(n_slots * layout.token_bytes()));
  alignas(64) int32_t values[kChunksAtOnce][kTurnTokens][kChunkK / 4];
  alignas(64) int32_t unused[kChunkK / 4];
  const int64_t n_chunks = (n_cols + layout.chunk_k - 1) / layout.chunk_k;
  for (int64_t first = 0; first < n_chunks; first += kChunksAtOnce) {
    const int64_t end = first + kChunksAtOnce < n_chunks ? first + kChunksAtOnce : n_chunks;
    // A row at a time, as memory is read best.
    for (int t = 0; t < n; ++t)
      for (int64_t c = first; c < end; ++c) {
        const int64_t begin = c * layout.chunk_k;
        const float* row = x + t * stride + begin;
        const int count = n_cols - begin < layout.chunk_k ? static_cast<int>(n_cols - begin) : layout.chunk_k;
        for (int i = 0; i < layout.chunk_k; i += 16) __builtin_prefetch(row + kValuesAhead + i);
        quantize_chunk(layout, row, count, n_slots, t, out + c * chunk_stride, by_turns ? values[c - first][t] : unused);
      }
    if (by_turns)
      for (int64_t c = first; c < end; ++c) interleave_tokens(values[c - first], n, out + c * chunk_stride);
  }
}
