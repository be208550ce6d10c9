// Q2_K and Q3_K: 16 sub-blocks of 16, 2-bit levels (and a third bit). The scale times the level fits a byte, so it is
// multiplied in when unpacking. Levels: per half of 128 values 8 lines; bits 2j of line i hold values 32 j + 4 i of the half.

/// Each byte of v (levels of one row per lane) times its row's scale; products below 256.
inline I32x16 scale_levels(I32x16 v, I32x16 scale) { return mul_words(v, bits_or(scale, shift_left<16>(scale))); }

// Lines: 4 of scales (low nibble) and mins (high nibble), 16 of levels, d and dmin.
struct Q2_KFormat {
  static constexpr DType kDType = DType::q2_k;
  static constexpr PackLayout kPack{21, 0, -1, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = 3 * 15, kOffset = 0;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::pairs16, 0);
  using Panel = FoldedPanel<16, true>;

  static void unpack(const uint8_t* lines, const uint16_t*, int, Panel& panel) {
    const I32x16 d_dmin = load_line(lines + 20 * 64);
    store(panel.d, f16_of_low(d_dmin));
    store(panel.m, sub(zero_f32(), f16_of_high(d_dmin)));
    alignas(64) int32_t scale[16][16];
    for (int i = 0; i < 4; ++i) {
      const I32x16 v = load_line(lines + i * 64);
      unpack_scales(nibbles_low(v), scale[4 * i]);
      unpack_pairs(nibbles_high(v), panel.min_pairs[2 * i]);
    }
    for (int line = 0; line < 16; ++line) unpack_line(load_line(lines + (4 + line) * 64), line, scale, panel);
  }

 private:
  static void unpack_line(I32x16 v, int line, const int32_t (*scale)[16], Panel& panel) {
    const int half = line / 8, i = line % 8, sub_block = half * 8 + i / 4;
    uint8_t* q = panel.q[half * 32 + i];
    const I32x16 two = splat(0x03030303);
    store_line(q, scale_levels(bits_and(v, two), load(scale[sub_block])));
    store_line(q + 8 * 64, scale_levels(bits_and(shift_right_bits<2>(v), two), load(scale[sub_block + 2])));
    store_line(q + 16 * 64, scale_levels(bits_and(shift_right_bits<4>(v), two), load(scale[sub_block + 4])));
    store_line(q + 24 * 64, scale_levels(bits_and(shift_right_bits<6>(v), two), load(scale[sub_block + 6])));
  }
};

// Lines: 8 of third bits (bit 4 half + j of line i), 16 of levels, 3 of scales (16 low nibbles, then 2 bits each); d.
// (q - 4) * (scale - 32) lies in -124..128: stored plus 124.
struct Q3_KFormat {
  static constexpr DType kDType = DType::q3_k;
  static constexpr PackLayout kPack{27, 0, 108, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = 252, kOffset = 124;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::offset_group, kOffset);
  using Panel = FoldedPanel<16, false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int, Panel& panel) {
    store(panel.d, load_f16(halves));
    const I32x16 w0 = load_line(lines + 24 * 64), w1 = load_line(lines + 25 * 64), high = load_line(lines + 26 * 64);
    const I32x16 two = splat(0x30303030);
    alignas(64) int32_t scale[16][16];
    unpack_scales(bits_or(nibbles_low(w0), bits_and(shift_left<4>(high), two)), scale[0]);
    unpack_scales(bits_or(nibbles_low(w1), bits_and(shift_left<2>(high), two)), scale[4]);
    unpack_scales(bits_or(nibbles_high(w0), bits_and(high, two)), scale[8]);
    unpack_scales(bits_or(nibbles_high(w1), bits_and(shift_right_bits<2>(high), two)), scale[12]);
    for (int j = 0; j < 16; ++j) store(scale[j], sub(load(scale[j]), splat(32)));
    unpack_half<0>(lines, scale, panel);
    unpack_half<1>(lines, scale, panel);
  }

 private:
  /// (q - 4) * scale + 124 of each byte, q in 0..7: even and odd bytes apart, as words.
  static I32x16 product(I32x16 q, I32x16 scale) {
    const I32x16 low = splat(0x00FF00FF), s = bits_or(bits_and(scale, splat(0xFFFF)), shift_left<16>(scale));
    const I32x16 even = bits_and(mul_words(bits_and(q, low), s), low);  // modulo 256 is enough: the sum fits a byte
    const I32x16 odd = bits_and(mul_words(bits_and(shift_right_bits<8>(q), low), s), low);
    const I32x16 base = bits_and(sub(splat(124), shift_left<2>(scale)), splat(0xFF));
    const I32x16 base_words = bits_or(base, shift_left<16>(base));
    return add_bytes(bits_or(even, shift_left<8>(odd)), bits_or(base_words, shift_left<8>(base_words)));
  }
  template <int half>
  static void unpack_half(const uint8_t* lines, const int32_t (*scale)[16], Panel& panel) {
    for (int i = 0; i < 8; ++i) {
      const I32x16 bits = load_line(lines + i * 64), v = load_line(lines + (8 + half * 8 + i) * 64), two = splat(0x03030303);
      const int32_t(*s)[16] = scale + half * 8 + i / 4;
      uint8_t* q = panel.q[half * 32 + i];
      store_line(q, product(bits_or(bits_and(v, two), bit_of_bytes<half * 4, 2>(bits)), load(s[0])));
      store_line(q + 8 * 64, product(bits_or(bits_and(shift_right_bits<2>(v), two), bit_of_bytes<half * 4 + 1, 2>(bits)), load(s[2])));
      store_line(q + 16 * 64, product(bits_or(bits_and(shift_right_bits<4>(v), two), bit_of_bytes<half * 4 + 2, 2>(bits)), load(s[4])));
      store_line(q + 24 * 64, product(bits_or(bits_and(shift_right_bits<6>(v), two), bit_of_bytes<half * 4 + 3, 2>(bits)), load(s[6])));
    }
  }
};
