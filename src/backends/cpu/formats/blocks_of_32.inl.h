// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with a float scale. Byte i of 16 holds values i (low nibble) and i + 16.

/// The blocks of a chunk, R panels: the sums of BlockPanel's tile kernel. F::levels(block, step, w) gives steps `step` (0..3) and
/// step + 4 of a block, F::block_scales(chunk, b, d, m) its scales.
template <class F, int R, int T>
inline void multiply_blocks(const PackedChunk (&at)[R], int n_blocks, const ActRecord<T>& act, float* const (&acc)[R]) {
  static_assert(F::kGroup == 32);
  constexpr int n_lines = F::kPack.n_lines;
  constexpr auto fits = [](int sums) { return kF32x16Registers < 32 || R * T * sums + 2 * R + 2 <= kF32x16Registers; };
  constexpr bool in_registers = fits(2);     // what sums are added to
  constexpr int n_chains = fits(3) ? 2 : 1;  // of the steps below 4 and those above
  F32x16 total[R][T];
  const auto for_sums = [](auto change) {
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) PHIAL_UNROLL
    for (int t = 0; t < T; ++t) change(r, t);
  };
  if (in_registers) for_sums([&](int r, int t) { total[r][t] = load(acc[r] + t * 16); });
  for (int b = 0; b < n_blocks; ++b) {
    I32x16 sum[n_chains][R][T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      sum[0][0][t] = F::kOffset ? act.aux_dword(b, t) : zero_i32();
      PHIAL_UNROLL
      for (int r = 1; r < R; ++r) sum[0][r][t] = sum[0][0][t];
    }
    if (n_chains == 2) for_sums([&](int r, int t) { sum[n_chains - 1][r][t] = zero_i32(); });
    PHIAL_UNROLL
    for (int step = 0; step < 4; ++step) {
      I32x16 w[R][2];
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) {
        ask_for_part<n_lines, 4>(at[r].ahead + b * n_lines * 64, step);
        F::levels(at[r].lines + b * n_lines * 64, step, w[r]);
      }
      PHIAL_UNROLL
      for (int half = 0; half < 2; ++half) PHIAL_UNROLL
      for (int t = 0; t < T; ++t) {
        const auto x = act.values(b * 8, half * 4 + step, t);
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          I32x16& s = sum[half % n_chains][r][t];
          s = dot_bytes<uses_signed(F::kMaxWeight)>(s, w[r][half], x);
        }
      }
    }
    if (!in_registers) memory_barrier();
    F32x16 d[R], m[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) F::block_scales(at[r], b, d[r], m[r]);
    for_sums([&](int r, int t) {
      if (n_chains == 2) sum[0][r][t] = add(sum[0][r][t], sum[n_chains - 1][r][t]);
      F32x16 value = mul(to_f32(sum[0][r][t]), d[r]);
      if constexpr (F::Panel::kMin) value = fma(as_f32(act.aux_dword(b, t)), m[r], value);
      const F32x16 before = in_registers ? total[r][t] : load(acc[r] + t * 16);
      total[r][t] = fma(value, act.scale(b, t), before);
      if (!in_registers) store(acc[r] + t * 16, total[r][t]);
    });
  }
  if (in_registers) for_sums([&](int r, int t) { store(acc[r] + t * 16, total[r][t]); });
}

/// kHighBits: a line of fifth bits; kMin: f16 d and m in the block's first dword, else d alone as a half.
template <DType kFormat, bool kHighBits, bool kHasMin>
struct NibbleFormat {
  static constexpr DType kDType = kFormat;
  static constexpr int kLines = 4 + kHighBits + kHasMin;
  static constexpr PackLayout kPack{kLines, kHasMin ? 0 : 2, kHasMin ? -1 : 0, 0, kHighBits ? (kHasMin ? 1 : 0) : -1};
  static constexpr int kGroup = act_group(kFormat), kMaxWeight = kHighBits ? 31 : 15, kOffset = kHasMin ? 0 : kHighBits ? 16 : 8;
  static constexpr ActLayout kAct = act_layout(kGroup, kHasMin ? ActAux::sums32 : ActAux::offset32, kOffset), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kChunkK / 32;
  static constexpr int packed_panels(int n_tokens) { return panels_at_once(n_tokens); }
  using Panel = BlockPanel<kHasMin>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b, lines += kLines * 64) {
      if constexpr (kHasMin) {
        const I32x16 d_m = load_kept(lines);
        store(panel.d[b], f16_of_low(d_m));
        store(panel.m[b], f16_of_high(d_m));
      } else {
        store(panel.d[b], load_f16(halves + b * 16));
      }
      PHIAL_UNROLL
      for (int step = 0; step < 4; ++step) {
        I32x16 w[2];
        levels(lines, step, w);
        store_line(panel.q[b * 8 + step], w[0]);
        store_line(panel.q[b * 8 + step + 4], w[1]);
      }
    }
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int n_blocks, const std::byte* record, float* const (&acc)[R]) {
    multiply_blocks<NibbleFormat>(at, n_blocks, ActRecord<T>(record, kGroup), acc);
  }

  static void block_scales(const PackedChunk& at, int b, F32x16& d, F32x16& m) {
    if constexpr (kHasMin) {
      const I32x16 d_m = load_kept(at.lines + b * kLines * 64);
      d = f16_of_low(d_m), m = f16_of_high(d_m);
    } else {
      d = load_f16(at.halves + b * 16), m = zero_f32();
    }
  }
  /// Steps `step` (0..3) and step + 4.
  static void levels(const uint8_t* block, int step, I32x16 (&w)[2]) {
    const I32x16 v = load_kept(block + (kHasMin + kHighBits + step) * 64);
    w[0] = nibbles_low(v), w[1] = nibbles_high(v);
    if constexpr (kHighBits) {
      const I32x16 bits = load_kept(block + kHasMin * 64), one = splat(0x10101010);
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
};

struct Q8_0Format {
  static constexpr DType kDType = DType::q8_0;
  static constexpr int kMaxWeight = kSignedLevels ? 127 : 255, kOffset = kSignedLevels || uses_signed(kMaxWeight) ? 0 : 128,
                       kGroup = act_group(DType::q8_0);
  static_assert(kGroup <= kShortGroup);  // activations of at least -127, whose signs can be turned
  static constexpr PackLayout kPack{8, 2, 0, kOffset == 0 ? 0 : 0x80808080, -1};
  static constexpr ActLayout kAct = act_layout(kGroup, kOffset ? ActAux::offset32 : ActAux::none, kOffset), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kChunkK / 32;
  static constexpr int packed_panels(int n_tokens) { return panels_at_once(n_tokens); }
  using Panel = BlockPanel<false>;

  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, Panel& panel) {
    for (int b = 0; b < n_blocks; ++b) {
      store(panel.d[b], load_f16(halves + b * 16));
      for (int step = 0; step < 8; ++step) store_line(panel.q[b * 8 + step], load_line(lines + (b * 8 + step) * 64));
    }
  }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int n_blocks, const std::byte* record, float* const (&acc)[R]) {
    multiply_blocks<Q8_0Format>(at, n_blocks, ActRecord<T>(record, kGroup), acc);
  }

  static void block_scales(const PackedChunk& at, int b, F32x16& d, F32x16& m) {
    d = load_f16(at.halves + b * 16), m = zero_f32();
  }
  static void levels(const uint8_t* block, int step, I32x16 (&w)[2]) {
    w[0] = load_kept(block + step * 64), w[1] = load_kept(block + (step + 4) * 64);
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
