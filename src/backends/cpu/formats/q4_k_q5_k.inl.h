// Q4_K and Q5_K: 8 sub-blocks of 32 with 6-bit scales and minimums. Lines: d and dmin, 3 of scales, (8 of fifth bits,)
// 32 of nibbles: of each 64 values the first 32 are the low nibbles, the next 32 the high nibbles of the same 8 lines.

template <bool kHighBits>
struct Q45_KFormat {
  static constexpr DType kDType = kHighBits ? DType::q5_k : DType::q4_k;
  static constexpr PackLayout kPack{kHighBits ? 44 : 36, 0, -1, 0, -1};
  static constexpr int kGroup = act_group(kDType), kMaxWeight = kHighBits ? 31 : 15, kMaxLevel = kMaxWeight, kMaxScale = 63,
                       kOffset = 0;
  static constexpr ActLayout kAct = with_word_flag(act_layout(kGroup, ActAux::pairs32, 0), 32, 0, kMaxLevel), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = 1, kLevels = 2;
  using Panel = SubBlockPanel<32, true>;

  static void unpack(const uint8_t* lines, const uint16_t*, int, Panel& panel) {
    unpack_scales_and_mins(lines, panel);
    unpack_levels<Q45_KFormat>(lines, panel);
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int, const std::byte* record, float* const (&acc)[R]) {
    static_assert(R == 1);
    SubBlockScales<32, true> scales;
    unpack_scales_and_mins(at[0].lines, scales);
    multiply_sub_blocks<Q45_KFormat>(at[0], scales, ActRecord<T>(record, kGroup), acc[0]);
  }

  /// Of a pair of sub-blocks: steps i and i + 8 of line i.
  static LevelLines level_lines(const uint8_t* lines, int64_t pair) {
    return {lines + (kHighBits ? 12 : 4) * 64 + pair * (8 * 64), lines + 4 * 64, static_cast<int>(2 * pair)};
  }
  static void levels(const LevelLines& lines, int64_t i, I32x16 (&w)[kLevels]) {
    const I32x16 v = load_kept(lines.levels + i * 64);
    w[0] = nibbles_low(v), w[1] = nibbles_high(v);
    if constexpr (kHighBits) {
      const I32x16 bits = shift_right_by(load_kept(lines.bits + i * 64), lines.shift);
      w[0] = bits_or(w[0], bit_of_bytes<0, 4>(bits));
      w[1] = bits_or(w[1], bit_of_bytes<1, 4>(bits));
    }
  }

 private:
  static void unpack_scales_and_mins(const uint8_t* lines, SubBlockScales<32, true>& out) {
    const I32x16 d_dmin = load_kept(lines), w0 = load_kept(lines + 64), w1 = load_kept(lines + 128), w2 = load_kept(lines + 192);
    store(out.d, f16_of_low(d_dmin));
    store(out.m, sub(zero_f32(), f16_of_high(d_dmin)));
    const I32x16 six = splat(0x3F3F3F3F), two = splat(0x30303030);
    unpack_scales(bits_and(w0, six), out.scale[0]);
    unpack_scales(bits_or(nibbles_low(w2), bits_and(shift_right_bits<2>(w0), two)), out.scale[4]);
    unpack_pairs(bits_and(w1, six), out.min_pairs[0]);
    unpack_pairs(bits_or(nibbles_high(w2), bits_and(shift_right_bits<2>(w1), two)), out.min_pairs[2]);
  }
};

template <>
struct FormatKernels<DType::q4_k> : Q45_KFormat<false> {};
template <>
struct FormatKernels<DType::q5_k> : Q45_KFormat<true> {};
