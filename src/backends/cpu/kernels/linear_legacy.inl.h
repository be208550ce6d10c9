// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with a float scale. Byte i of 16 holds values i (low nibble) and i + 16.

inline I32x16 nibbles_low(I32x16 v) { return bits_and(v, splat(0x0F0F0F0F)); }
inline I32x16 nibbles_high(I32x16 v) { return bits_and(shift_right_bits<4>(v), splat(0x0F0F0F0F)); }

/// Bit `bit` of each byte, moved to bit `to`.
template <int bit, int to>
inline I32x16 bit_of_bytes(I32x16 v) {
  const I32x16 mask = splat(0x01010101 << to);
  if constexpr (bit > to) return bits_and(shift_right_bits<bit - to>(v), mask);
  else return bits_and(shift_left<to - bit>(v), mask);
}

/// kHighBits: a line of fifth bits; kMin: f16 d and m in the block's first dword, else d alone as a half.
template <DType kFormat, bool kHighBits, bool kHasMin>
struct NibbleFormat {
  static constexpr DType kDType = kFormat;
  static constexpr int kLines = 4 + kHighBits + kHasMin;
  static constexpr PackLayout kPack{kLines, kHasMin ? 0 : 2, kHasMin ? -1 : 0, 0, kHighBits ? (kHasMin ? 1 : 0) : -1};
  static constexpr int kGroup = act_group(kFormat), kMaxWeight = kHighBits ? 31 : 15, kOffset = kHasMin ? 0 : kHighBits ? 16 : 8;
  static constexpr ActLayout kAct = act_layout(kGroup, kHasMin ? ActAux::sums32 : ActAux::offset32, kOffset);
  using Panel = BlockPanel<kHasMin>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b, lines += kLines * 64) {
      const uint8_t* line = lines;
      if constexpr (kHasMin) {
        const I32x16 d_m = load_line(line);
        store(panel.d[b], f16_of_low(d_m));
        store(panel.m[b], f16_of_high(d_m));
        line += 64;
      } else {
        store(panel.d[b], load_f16(halves + b * 16));
      }
      I32x16 bits = zero_i32();
      if constexpr (kHighBits) {
        bits = load_line(line);
        line += 64;
      }
      unpack_steps<0>(line, bits, panel.q[b * 8]);
    }
  }

 private:
  template <int step>
  static void unpack_steps(const uint8_t* line, I32x16 bits, uint8_t* q) {
    const I32x16 v = load_line(line + step * 64);
    I32x16 low = nibbles_low(v), high = nibbles_high(v);
    if constexpr (kHighBits) {
      low = bits_or(low, bit_of_bytes<step, 4>(bits));
      high = bits_or(high, bit_of_bytes<step + 4, 4>(bits));
    }
    store_line(q + step * 64, low);
    store_line(q + (step + 4) * 64, high);
    if constexpr (step < 3) unpack_steps<step + 1>(line, bits, q);
  }
};

struct Q8_0Format {
  static constexpr DType kDType = DType::q8_0;
  static constexpr PackLayout kPack{8, 2, 0, 0x80808080, -1};
  static constexpr int kGroup = act_group(DType::q8_0), kMaxWeight = 255, kOffset = 128;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::offset32, kOffset);
  using Panel = BlockPanel<false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b) {
      store(panel.d[b], load_f16(halves + b * 16));
      for (int step = 0; step < 8; ++step) store_line(panel.q[b * 8 + step], load_line(lines + (b * 8 + step) * 64));
    }
  }
};
