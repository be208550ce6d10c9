// Q6_K: 16 sub-blocks of 16 with signed 8-bit scales, value = d * scale * (q - 32). Lines: 32 of low nibbles, 16 of
// 2-bit tops, 4 of scales; d beside them. Per half of 128 values, with byte i of 64 and i of 32: values i and i + 64 are
// the nibbles of byte i, and the tops of i, i + 32, i + 64, i + 96 are bits 0-1, 2-3, 4-5, 6-7.

struct Q6_KFormat {
  static constexpr DType kDType = DType::q6_k;
  static constexpr PackLayout kPack{52, 0, 208, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = 63, kOffset = 32;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::offset16, kOffset);
  using Panel = SubBlockPanel<16, false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int, Panel& panel) {
    store(panel.d, load_f16(halves));
    const I32x16 tops = splat(0x30303030);
    for (int half = 0; half < 2; ++half) {
      const uint8_t* nibbles = lines + half * 16 * 64;
      const uint8_t* high = lines + (32 + half * 8) * 64;
      uint8_t* q = panel.q[half * 32];
      for (int i = 0; i < 8; ++i) {
        const I32x16 a = load_line(nibbles + i * 64), b = load_line(nibbles + (i + 8) * 64), h = load_line(high + i * 64);
        store_line(q + i * 64, bits_or(nibbles_low(a), bits_and(shift_left<4>(h), tops)));
        store_line(q + (i + 8) * 64, bits_or(nibbles_low(b), bits_and(shift_left<2>(h), tops)));
        store_line(q + (i + 16) * 64, bits_or(nibbles_high(a), bits_and(h, tops)));
        store_line(q + (i + 24) * 64, bits_or(nibbles_high(b), bits_and(shift_right_bits<2>(h), tops)));
      }
    }
    for (int i = 0; i < 4; ++i) {
      const I32x16 s = load_line(lines + (48 + i) * 64);
      store(panel.scale[i * 4], shift_right<24>(shift_left<24>(s)));
      store(panel.scale[i * 4 + 1], shift_right<24>(shift_left<16>(s)));
      store(panel.scale[i * 4 + 2], shift_right<24>(shift_left<8>(s)));
      store(panel.scale[i * 4 + 3], shift_right<24>(s));
    }
  }
};
