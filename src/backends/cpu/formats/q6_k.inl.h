// Q6_K: 16 sub-blocks of 16 with signed 8-bit scales, value = d * scale * (q - 32). Lines: 32 of low nibbles, 16 of
// 2-bit tops, 4 of scales; d beside them. Per half of 128 values, with byte i of 64 and i of 32: values i and i + 64 are
// the nibbles of byte i, and the tops of i, i + 32, i + 64, i + 96 are bits 0-1, 2-3, 4-5, 6-7.

struct Q6_KFormat {
  static constexpr DType kDType = DType::q6_k;
  static constexpr PackLayout kPack{52, 0, 208, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = 63, kMaxLevel = kMaxWeight, kMaxScale = 128, kOffset = 32;
  static constexpr ActLayout kAct =
                                 with_word_flag(act_layout(kGroup, ActAux::offset16, kOffset), 16, kOffset, kMaxLevel - kOffset),
                             kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = 1, kLevels = 4;
  using Panel = SubBlockPanel<16, false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int, Panel& panel) {
    unpack_block_scales(lines, halves, panel);
    unpack_levels<Q6_KFormat>(lines, panel);
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int, const std::byte* record, float* const (&acc)[R]) {
    static_assert(R == 1);
    SubBlockScales<16, false> scales;
    unpack_block_scales(at[0].lines, at[0].halves, scales);
    multiply_sub_blocks<Q6_KFormat>(at[0], scales, ActRecord<T>(record, kGroup), acc[0]);
  }

  /// Of a half: steps i, i + 8, i + 16 and i + 24 of line i and the one 8 further.
  static LevelLines level_lines(const uint8_t* lines, int64_t half) {
    return {lines + half * (16 * 64), lines + (32 + half * 8) * 64, 0};
  }
  static void levels(const LevelLines& lines, int64_t i, I32x16 (&w)[kLevels]) {
    const I32x16 tops = splat(0x30303030);
    const uint8_t* nibbles = lines.levels + i * 64;
    const I32x16 a = load_kept(nibbles), b = load_kept(nibbles + 8 * 64), h = load_kept(lines.bits + i * 64);
    w[0] = bits_or(nibbles_low(a), bits_and(shift_left<4>(h), tops));
    w[1] = bits_or(nibbles_low(b), bits_and(shift_left<2>(h), tops));
    w[2] = bits_or(nibbles_high(a), bits_and(h, tops));
    w[3] = bits_or(nibbles_high(b), bits_and(shift_right_bits<2>(h), tops));
  }

 private:
  static void unpack_block_scales(const uint8_t* lines, const uint16_t* halves, SubBlockScales<16, false>& out) {
    store(out.d, load_f16(halves));
    for (int i = 0; i < 4; ++i) {
      const I32x16 s = load_kept(lines + (48 + i) * 64);
      store(out.scale[i * 4], shift_right<24>(shift_left<24>(s)));
      store(out.scale[i * 4 + 1], shift_right<24>(shift_left<16>(s)));
      store(out.scale[i * 4 + 2], shift_right<24>(shift_left<8>(s)));
      store(out.scale[i * 4 + 3], shift_right<24>(s));
    }
  }
};

template <>
struct FormatKernels<DType::q6_k> : Q6_KFormat {};
