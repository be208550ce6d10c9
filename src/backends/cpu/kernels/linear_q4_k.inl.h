// Q4_K and Q5_K: 8 sub-blocks of 32 with 6-bit scales and minimums. Lines: d and dmin, 3 of scales, (8 of fifth bits,)
// 32 of nibbles: of each 64 values the first 32 are the low nibbles, the next 32 the high nibbles of the same 8 lines.

template <bool kHighBits>
struct Q45_KFormat {
  static constexpr DType kDType = kHighBits ? DType::q5_k : DType::q4_k;
  static constexpr PackLayout kPack{kHighBits ? 44 : 36, 0, -1, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = kHighBits ? 31 : 15, kOffset = 0;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::pairs32, 0);
  using Panel = SubBlockPanel<32, true>;

  static void unpack(const uint8_t* lines, const uint16_t*, int, Panel& panel) {
    const I32x16 d_dmin = load_line(lines);
    store(panel.d, f16_of_low(d_dmin));
    store(panel.m, sub(zero_f32(), f16_of_high(d_dmin)));
    const I32x16 w0 = load_line(lines + 64), w1 = load_line(lines + 128), w2 = load_line(lines + 192);
    const I32x16 six = splat(0x3F3F3F3F), two = splat(0x30303030);
    unpack_scales(bits_and(w0, six), panel.scale[0]);
    unpack_scales(bits_or(nibbles_low(w2), bits_and(shift_right_bits<2>(w0), two)), panel.scale[4]);
    unpack_pairs(bits_and(w1, six), panel.min_pairs[0]);
    unpack_pairs(bits_or(nibbles_high(w2), bits_and(shift_right_bits<2>(w1), two)), panel.min_pairs[2]);

    const uint8_t* bits = lines + 4 * 64;
    const uint8_t* nibbles = bits + (kHighBits ? 8 * 64 : 0);
    unpack_levels<0>(bits, nibbles, panel.q[0]);
  }

 private:
  template <int pair>  // of sub-blocks
  static void unpack_levels(const uint8_t* bits, const uint8_t* nibbles, uint8_t* q) {
    for (int i = 0; i < 8; ++i) {
      const I32x16 v = load_line(nibbles + (pair * 8 + i) * 64);
      I32x16 low = nibbles_low(v), high = nibbles_high(v);
      if constexpr (kHighBits) {
        const I32x16 b = load_line(bits + i * 64);
        low = bits_or(low, bit_of_bytes<2 * pair, 4>(b));
        high = bits_or(high, bit_of_bytes<2 * pair + 1, 4>(b));
      }
      store_line(q + (pair * 16 + i) * 64, low);
      store_line(q + (pair * 16 + 8 + i) * 64, high);
    }
    if constexpr (pair < 3) unpack_levels<pair + 1>(bits, nibbles, q);
  }
};
