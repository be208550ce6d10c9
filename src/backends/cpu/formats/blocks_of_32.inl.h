// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with a float scale. Byte i of 16 holds values i (low nibble) and i + 16.

/// One block of 32 from its levels: the sums of BlockPanel's tile kernel. levels(step) in 0..7.
template <class F, int T, class Levels>
inline void multiply_block(Levels levels, F32x16 d, F32x16 m, const ActRecord<T>& act, int b, F32x16 (&value)[T]) {
  I32x16 sum[T], second[T];  // two chains for the even and odd steps
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) {
    sum[t] = F::kOffset ? act.aux_dword(b, t) : zero_i32();
    second[t] = zero_i32();
  }
  PHIAL_UNROLL
  for (int step = 0; step < 4; ++step) {
    I32x16 w[2];
    levels(step, w);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      constexpr bool wide = kWideDiffers && (F::kMaxWeight > 127);
      sum[t] = dot_bytes<wide>(sum[t], w[0], act.values(b * 8, step, t));
      second[t] = dot_bytes<wide>(second[t], w[1], act.values(b * 8, step + 4, t));
    }
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) {
    value[t] = fma(to_f32(add(sum[t], second[t])), d, value[t]);
    if constexpr (F::Panel::kMin) value[t] = fma(as_f32(act.aux_dword(b, t)), m, value[t]);
  }
}

/// The blocks of a chunk; multiply(b, value) adds block b.
template <class F, int T, class Multiply>
inline void multiply_blocks(int n_blocks, const ActRecord<T>& act, float* acc, Multiply multiply) {
  F32x16 value[T];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) value[t] = zero_f32();
  for (int b = 0; b < n_blocks; ++b) {
    multiply(b, value);
    if ((b + 1) % (F::kGroup / 32) != 0 && b + 1 != n_blocks) continue;
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      store(acc + t * 16, fma(value[t], act.scale(b * 32 / F::kGroup, t), load(acc + t * 16)));
      value[t] = zero_f32();
    }
  }
}

/// kHighBits: a line of fifth bits; kMin: f16 d and m in the block's first dword, else d alone as a half.
template <DType kFormat, bool kHighBits, bool kHasMin>
struct NibbleFormat {
  static constexpr DType kDType = kFormat;
  static constexpr int kLines = 4 + kHighBits + kHasMin;
  static constexpr PackLayout kPack{kLines, kHasMin ? 0 : 2, kHasMin ? -1 : 0, 0, kHighBits ? (kHasMin ? 1 : 0) : -1};
  static constexpr int kGroup = act_group(kFormat), kMaxWeight = kHighBits ? 31 : 15, kOffset = kHasMin ? 0 : kHighBits ? 16 : 8;
  static constexpr ActLayout kAct = act_layout(kGroup, kHasMin ? ActAux::sums32 : ActAux::offset32, kOffset), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kChunkK / 32, kPackedSums = 3;
  using Panel = BlockPanel<kHasMin>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b, lines += kLines * 64) {
      if constexpr (kHasMin) {
        const I32x16 d_m = load_packed(lines);
        store(panel.d[b], f16_of_low(d_m));
        store(panel.m[b], f16_of_high(d_m));
      } else {
        store(panel.d[b], load_f16(halves + b * 16));
      }
      unpack_steps<0>(lines, panel.q[b * 8]);
    }
  }

  template <int T>
  static void multiply_packed(const uint8_t* lines, const uint16_t* halves, int n_blocks, const std::byte* record, float* acc) {
    const ActRecord<T> act(record, kGroup);
    multiply_blocks<NibbleFormat, T>(n_blocks, act, acc, [&](int b, F32x16(&value)[T]) {
      const uint8_t* block = lines + b * kLines * 64;
      F32x16 d = zero_f32(), m = d;
      if constexpr (kHasMin) {
        const I32x16 d_m = load_packed(block);
        d = f16_of_low(d_m), m = f16_of_high(d_m);
      } else {
        d = load_f16(halves + b * 16);
      }
      multiply_block<NibbleFormat, T>([&](int step, I32x16(&w)[2]) { levels(block, step, w); }, d, m, act, b, value);
    });
  }

 private:
  /// Steps `step` (0..3) and step + 4.
  static void levels(const uint8_t* block, int step, I32x16 (&w)[2]) {
    const I32x16 v = load_packed(block + (kHasMin + kHighBits + step) * 64);
    w[0] = nibbles_low(v), w[1] = nibbles_high(v);
    if constexpr (kHighBits) {
      const I32x16 bits = load_packed(block + kHasMin * 64), one = splat(0x10101010);
      switch (step) {  // shifts by constants
        case 0:
          w[0] = bits_or(w[0], bits_and(shift_left<4>(bits), one)), w[1] = bits_or(w[1], bits_and(bits, one));
          break;
        case 1:
          w[0] = bits_or(w[0], bits_and(shift_left<3>(bits), one)),
          w[1] = bits_or(w[1], bits_and(shift_right_bits<1>(bits), one));
          break;
        case 2:
          w[0] = bits_or(w[0], bits_and(shift_left<2>(bits), one)),
          w[1] = bits_or(w[1], bits_and(shift_right_bits<2>(bits), one));
          break;
        default:
          w[0] = bits_or(w[0], bits_and(shift_left<1>(bits), one)),
          w[1] = bits_or(w[1], bits_and(shift_right_bits<3>(bits), one));
      }
    }
  }
  template <int step>
  static void unpack_steps(const uint8_t* block, uint8_t* q) {
    I32x16 w[2];
    levels(block, step, w);
    store_line(q + step * 64, w[0]);
    store_line(q + (step + 4) * 64, w[1]);
    if constexpr (step < 3) unpack_steps<step + 1>(block, q);
  }
};

struct Q8_0Format {
  static constexpr DType kDType = DType::q8_0;
  static constexpr int kOffset = kSignedLevels ? 0 : 128, kMaxWeight = 127 + kOffset, kGroup = act_group(DType::q8_0);
  static constexpr PackLayout kPack{8, 2, 0, kSignedLevels ? 0 : 0x80808080, -1};
  static constexpr ActLayout kAct = act_layout(kGroup, kOffset ? ActAux::offset32 : ActAux::none, kOffset), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kChunkK / 32, kPackedSums = 3;
  using Panel = BlockPanel<false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b) {
      store(panel.d[b], load_f16(halves + b * 16));
      for (int step = 0; step < 8; ++step) store_line(panel.q[b * 8 + step], load_line(lines + (b * 8 + step) * 64));
    }
  }

  template <int T>
  static void multiply_packed(const uint8_t* lines, const uint16_t* halves, int n_blocks, const std::byte* record, float* acc) {
    const ActRecord<T> act(record, kGroup);
    multiply_blocks<Q8_0Format, T>(n_blocks, act, acc, [&](int b, F32x16(&value)[T]) {
      const uint8_t* block = lines + b * 8 * 64;
      const auto levels = [block](int step, I32x16(&w)[2]) {
        w[0] = load_packed(block + step * 64), w[1] = load_packed(block + (step + 4) * 64);
      };
      multiply_block<Q8_0Format, T>(levels, load_f16(halves + b * 16), zero_f32(), act, b, value);
    });
  }
};

template <>
struct FormatKernels<DType::q4_0> : NibbleFormat<DType::q4_0, false, false> {};
template <>
struct FormatKernels<DType::q4_1> : NibbleFormat<DType::q4_1, false, true> {};
template <>
struct FormatKernels<DType::q5_0> : NibbleFormat<DType::q5_0, true, false> {};
template <>
struct FormatKernels<DType::q5_1> : NibbleFormat<DType::q5_1, true, true> {};
template <>
struct FormatKernels<DType::q8_0> : Q8_0Format {};
