// Q2_K and Q3_K: 16 sub-blocks of 16, 2-bit levels (and a third bit). The scale times the level fits a byte, so it is
// multiplied in when unpacking, but where pairs are summed as words. Levels: per half of 128 values 8 lines; bits 2j of line i
// hold values 32 j + 4 i of the half.

/// Q2_K's scales as words, which levels are multiplied with.
inline void scales_to_words(SubBlockScales<16, true>& scales) {
  for (auto& scale : scales.scale) store(scale, twice(load(scale)));
}

/// The four levels of each byte, by shift.
inline void two_bit_levels(const uint8_t* line, I32x16 (&w)[4]) {
  const I32x16 v = load_kept(line), two = splat(0x03030303);
  w[0] = bits_and(v, two);
  w[1] = bits_and(shift_right_bits<2>(v), two);
  w[2] = bits_and(shift_right_bits<4>(v), two);
  w[3] = bits_and(shift_right_bits<6>(v), two);
}

// Lines: 4 of scales (low nibble) and mins (high nibble), 16 of levels, d and dmin.
struct Q2_KFormat {
  static constexpr DType kDType = DType::q2_k;
  static constexpr PackLayout kPack{21, 0, -1, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxLevel = 3, kMaxWeight = kSumsWords ? kMaxLevel : 3 * 15, kOffset = 0;
  static constexpr ActLayout kAct = act_layout(kGroup, ActAux::pairs16, 0), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = 1, kLevels = 4;
  using Panel = std::conditional_t<kSumsWords, SubBlockPanel<16, true>, FoldedPanel<16, true>>;

  static void unpack(const uint8_t* lines, const uint16_t*, int, SubBlockPanel<16, true>& panel) {
    unpack_scales_and_mins(lines, panel);
    unpack_levels<Q2_KFormat>(lines, panel);
  }
  static void unpack(const uint8_t* lines, const uint16_t*, int, FoldedPanel<16, true>& panel) {
    Scales scales;
    unpack_scales_and_mins(lines, scales);
    scales_to_words(scales);
    store(panel.d, load(scales.d));
    store(panel.m, load(scales.m));
    for (int i = 0; i < 8; ++i) store(panel.min_pairs[i], load(scales.min_pairs[i]));
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 8; ++i) {
        I32x16 w[4];
        levels(level_lines(lines, half), i, w);
        for (int j = 0; j < 4; ++j) store_line(panel.q[half * 32 + j * 8 + i], scaled(w[j], scales, half * 8 + j * 2 + i / 4));
      }
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int, const std::byte* record, float* const (&acc)[R]) {
    Scales scales[R];
    for (int r = 0; r < R; ++r) unpack_scales_and_mins(at[r].lines, scales[r]);
    const ActRecord<T> act(record, kGroup);
    if constexpr (R == 2) {
      for (Scales& s : scales) scales_to_words(s);
      multiply_folded<Q2_KFormat>(at, scales, act, acc);
    } else {
      multiply_sub_blocks<Q2_KFormat>(at[0], scales[0], act, acc[0]);
    }
  }

  static LevelLines level_lines(const uint8_t* lines, int64_t half) { return {lines + (4 + half * 8) * 64, lines, 0}; }
  static void levels(const LevelLines& lines, int64_t i, I32x16 (&w)[kLevels]) { two_bit_levels(lines.levels + i * 64, w); }

  static constexpr int packed_panels(int n_tokens) { return panels_at_once(n_tokens); }
  using Scales = SubBlockScales<16, true>;
  /// Levels times scales made words, below 256 in each byte.
  static I32x16 scaled(I32x16 w, const Scales& words, int64_t sub_block) { return mul_words(w, load(words.scale[sub_block])); }

 private:
  static void unpack_scales_and_mins(const uint8_t* lines, Scales& out) {
    const I32x16 d_dmin = load_kept(lines + 20 * 64);
    store(out.d, f16_of_low(d_dmin));
    store(out.m, sub(zero_f32(), f16_of_high(d_dmin)));
    for (int i = 0; i < 4; ++i) {
      const I32x16 v = load_kept(lines + i * 64);
      unpack_scales(nibbles_low(v), out.scale[4 * i]);
      unpack_pairs(nibbles_high(v), out.min_pairs[2 * i]);
    }
  }
};

// Lines: 8 of third bits (bit 4 half + j of line i), 16 of levels, 3 of scales (16 low nibbles, then 2 bits each); d.
// (q - 4) * (scale - 32) lies in -124..128: stored plus 124, or where levels are signed minus 1. Where scales are not multiplied
// in, and straight from packed lines, q itself is multiplied, whose offset is 4 in each sub-block.
struct Q3_KFormat {
  static constexpr DType kDType = DType::q3_k;
  static constexpr PackLayout kPack{27, 0, 108, 0, -1};
  static constexpr int kFoldedOffset = kSignedLevels ? -1 : 124, kMaxLevel = 7;
  static constexpr int kGroup = act_group(kDType), kOffset = kSumsWords ? 4 : kFoldedOffset,
                       kMaxWeight = kSumsWords ? kMaxLevel : 128 + kFoldedOffset;
  static constexpr ActLayout kPackedAct = act_layout(kGroup, ActAux::offset16, 4),
                             kAct = kSumsWords ? kPackedAct : act_layout(kGroup, ActAux::offset_group, kFoldedOffset);
  static constexpr int kBlocksPerChunk = 1, kLevels = 4;
  using Panel = std::conditional_t<kSumsWords, SubBlockPanel<16, false>, FoldedPanel<16, false>>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int, SubBlockPanel<16, false>& panel) {
    unpack_block_scales(lines, halves, panel);
    unpack_levels<Q3_KFormat>(lines, panel);
  }
  static void unpack(const uint8_t* lines, const uint16_t* halves, int, FoldedPanel<16, false>& panel) {
    FoldedScales scales;
    unpack_block_scales(lines, halves, scales);
    set_tables(scales);
    store(panel.d, load(scales.d));
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 8; ++i) {
        const LevelLines from = level_lines(lines, half);
        const I32x16 bits = load_kept(from.bits + i * 64);
        I32x16 w[4];
        two_bit_levels(from.levels + i * 64, w);
        PHIAL_UNROLL
        for (int j = 0; j < 4; ++j) {
          const int sub_block = half * 8 + j * 2 + i / 4;
          const I32x16 third = splat(static_cast<int32_t>(0x01010101u << (from.shift + j)));
          const I32x16 scaled = lookup_bytes(load(scales.table[sub_block]), w[j]);
          store_line(panel.q[half * 32 + j * 8 + i], add_bytes_where(scaled, bits, third, load(scales.four[sub_block])));
        }
      }
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int, const std::byte* record, float* const (&acc)[R]) {
    static_assert(R == 1);
    Scales scales;
    unpack_block_scales(at[0].lines, at[0].halves, scales);
    multiply_sub_blocks<Q3_KFormat>(at[0], scales, ActRecord<T>(record, kGroup), acc[0]);
  }

  /// The levels as 0..7.
  static LevelLines level_lines(const uint8_t* lines, int64_t half) {
    return {lines + (8 + half * 8) * 64, lines, static_cast<int>(4 * half)};
  }
  static void levels(const LevelLines& lines, int64_t i, I32x16 (&w)[kLevels]) {
    two_bit_levels(lines.levels + i * 64, w);
    const I32x16 bits = shift_right_by(load_kept(lines.bits + i * 64), lines.shift);
    w[0] = bits_or(w[0], bit_of_bytes<0, 2>(bits));
    w[1] = bits_or(w[1], bit_of_bytes<1, 2>(bits));
    w[2] = bits_or(w[2], bit_of_bytes<2, 2>(bits));
    w[3] = bits_or(w[3], bit_of_bytes<3, 2>(bits));
  }

 private:
  using Scales = SubBlockScales<16, false>;
  // Of (q - 4) * scale + kFoldedOffset, q in 0..7, bytes that hold it modulo 256, as the whole fits a byte.
  struct FoldedScales : Scales {
    int32_t table[16][16];  // for q of 0..3, in the four bytes of a lane
    int32_t four[16][16];   // what q's third bit adds: 4 * scale in each byte
  };
  static I32x16 times_4(I32x16 v) { return add_bytes(add_bytes(v, v), add_bytes(v, v)); }
  static void set_tables(FoldedScales& scales) {
    const I32x16 offset = splat(static_cast<int32_t>((kFoldedOffset & 0xFF) * 0x01010101u));
    for (int i = 0; i < 16; ++i) {
      const I32x16 scale = load(scales.scale[i]);
      const I32x16 s = lookup_bytes(scale, zero_i32()), minus_s = lookup_bytes(sub(zero_i32(), scale), zero_i32());
      const I32x16 multiples = add_bytes(bits_and(s, splat(static_cast<int32_t>(0xFF00FF00))),
                                         bits_and(add_bytes(s, s), splat(static_cast<int32_t>(0xFFFF0000))));
      store(scales.table[i], add_bytes(multiples, add_bytes(offset, times_4(minus_s))));
      store(scales.four[i], times_4(s));
    }
  }

  static void unpack_block_scales(const uint8_t* lines, const uint16_t* halves, Scales& out) {
    store(out.d, load_f16(halves));
    const I32x16 w0 = load_kept(lines + 24 * 64), w1 = load_kept(lines + 25 * 64), high = load_kept(lines + 26 * 64);
    const I32x16 two = splat(0x30303030);
    unpack_scales(bits_or(nibbles_low(w0), bits_and(shift_left<4>(high), two)), out.scale[0]);
    unpack_scales(bits_or(nibbles_low(w1), bits_and(shift_left<2>(high), two)), out.scale[4]);
    unpack_scales(bits_or(nibbles_high(w0), bits_and(high, two)), out.scale[8]);
    unpack_scales(bits_or(nibbles_high(w1), bits_and(shift_right_bits<2>(high), two)), out.scale[12]);
    for (int j = 0; j < 16; ++j) store(out.scale[j], sub(load(out.scale[j]), splat(32)));
  }
};

template <>
struct FormatKernels<DType::q2_k> : Q2_KFormat {};
template <>
struct FormatKernels<DType::q3_k> : Q3_KFormat {};
