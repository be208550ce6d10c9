// Q4_K and Q5_K: 8 sub-blocks of 32 with 6-bit scales and minimums. Lines: d and dmin, 3 of scales, (8 of fifth bits,)
// 32 of nibbles: of each 64 values the first 32 are the low nibbles, the next 32 the high nibbles of the same 8 lines.

template <bool kHighBits>
struct Q45_KFormat {
  static constexpr DType kDType = kHighBits ? DType::q5_k : DType::q4_k;
  static constexpr PackLayout kPack{kHighBits ? 44 : 36, 0, -1, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = kHighBits ? 31 : 15, kOffset = 0;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::pairs32, 0), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = 1, kPackedSums = 3;
  using Panel = SubBlockPanel<32, true>;

  static void unpack(const uint8_t* lines, const uint16_t*, int, Panel& panel) {
    unpack_scales_and_mins(lines, panel);
    const uint8_t* bits = lines + 4 * 64;
    unpack_levels<0>(bits, bits + (kHighBits ? 8 * 64 : 0), panel.q[0]);
  }

  template <int T>
  static void multiply_packed(const uint8_t* lines, const uint16_t*, int, const std::byte* record, float* acc) {
    const ActRecord<T> act(record, kGroup);
    SubBlockScales<32, true> scales;
    unpack_scales_and_mins(lines, scales);
    I32x16 sum[T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[t] = zero_i32();
    const uint8_t* bits = lines + 4 * 64;
    multiply_pairs<T, 0>(bits, bits + (kHighBits ? 8 * 64 : 0), scales, act, sum, acc);
  }

 private:
  static void unpack_scales_and_mins(const uint8_t* lines, SubBlockScales<32, true>& out) {
    const I32x16 d_dmin = load_packed(lines), w0 = load_packed(lines + 64), w1 = load_packed(lines + 128),
                 w2 = load_packed(lines + 192);
    store(out.d, f16_of_low(d_dmin));
    store(out.m, sub(zero_f32(), f16_of_high(d_dmin)));
    const I32x16 six = splat(0x3F3F3F3F), two = splat(0x30303030);
    unpack_scales(bits_and(w0, six), out.scale[0]);
    unpack_scales(bits_or(nibbles_low(w2), bits_and(shift_right_bits<2>(w0), two)), out.scale[4]);
    unpack_pairs(bits_and(w1, six), out.min_pairs[0]);
    unpack_pairs(bits_or(nibbles_high(w2), bits_and(shift_right_bits<2>(w1), two)), out.min_pairs[2]);
  }

  /// Steps i and i + 8 of a pair of sub-blocks.
  template <int pair>
  static void levels(const uint8_t* bits, const uint8_t* nibbles, int i, I32x16& low, I32x16& high) {
    const I32x16 v = load_packed(nibbles + (pair * 8 + i) * 64);
    low = nibbles_low(v), high = nibbles_high(v);
    if constexpr (kHighBits) {
      const I32x16 b = pair == 0 ? load_packed(bits + i * 64) : load_line(bits + i * 64);
      low = bits_or(low, bit_of_bytes<2 * pair, 4>(b));
      high = bits_or(high, bit_of_bytes<2 * pair + 1, 4>(b));
    }
  }

  template <int T, int pair>
  static void multiply_pairs(const uint8_t* bits, const uint8_t* nibbles, const SubBlockScales<32, true>& scales,
                             const ActRecord<T>& act, I32x16 (&sum)[T], float* acc) {
    I32x16 low_sum[T], high_sum[T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) low_sum[t] = high_sum[t] = zero_i32();
    PHIAL_UNROLL
    for (int i = 0; i < 8; ++i) {
      I32x16 low, high;
      levels<pair>(bits, nibbles, i, low, high);
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) {
        low_sum[t] = dot_bytes<false>(low_sum[t], low, act.values(pair * 16, i, t));
        high_sum[t] = dot_bytes<false>(high_sum[t], high, act.values(pair * 16, i + 8, t));
      }
    }
    add_scaled<T>(sum, low_sum, scales.scale[2 * pair]);
    add_scaled<T>(sum, high_sum, scales.scale[2 * pair + 1]);
    if constexpr ((pair + 1) * 64 % kGroup == 0) {
      end_group<Q45_KFormat>(scales, sum, act, pair * 64 / kGroup, acc, 16);
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) sum[t] = zero_i32();
    }
    if constexpr (pair < 3) multiply_pairs<T, pair + 1>(bits, nibbles, scales, act, sum, acc);
  }

  template <int pair>  // of sub-blocks
  static void unpack_levels(const uint8_t* bits, const uint8_t* nibbles, uint8_t* q) {
    for (int i = 0; i < 8; ++i) {
      I32x16 low, high;
      levels<pair>(bits, nibbles, i, low, high);
      store_line(q + (pair * 16 + i) * 64, low);
      store_line(q + (pair * 16 + 8 + i) * 64, high);
    }
    if constexpr (pair < 3) unpack_levels<pair + 1>(bits, nibbles, q);
  }
};

template <>
struct FormatKernels<DType::q4_k> : Q45_KFormat<false> {};
template <>
struct FormatKernels<DType::q5_k> : Q45_KFormat<true> {};
