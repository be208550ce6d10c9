// Products straight from packed lines, for few tokens: the sums and their order are those of the tile kernels.

/// Panels at once of formats whose sums leave registers for two: these share what is loaded of the activations. With few tokens
/// memory is what is short, and is read faster as one stream.
constexpr int panels_at_once(int n_tokens) { return kF32x16Registers >= 32 && n_tokens >= 5 ? 2 : 1; }

inline I32x16 load_kept(const uint8_t* line) {
  I32x16 v = load_line(line);
  keep(v);  // else each use of v loads the line again, and loads are what is short
  return v;
}

/// Lines of levels, and beside them their further bits, which are shifted before they are used.
struct LevelLines {
  const uint8_t *levels, *bits;
  int shift;
};

/// The levels of a block, as they are, to a panel. The 8 lines of part `part` of a block hold steps i, i + 8... in line i,
/// F::kLevels of them: F::level_lines(lines, part) finds them, F::levels(lines, i, w) gives line i's.
template <class F, class Panel>
inline void unpack_levels(const uint8_t* lines, Panel& panel) {
  constexpr int n_steps = F::kLevels * 8;  // of a part
  for (int part = 0; part < kChunkK / 4 / n_steps; ++part) PHIAL_UNROLL
  for (int i = 0; i < 8; ++i) {
    I32x16 w[F::kLevels];
    F::levels(F::level_lines(lines, part), i, w);
    PHIAL_UNROLL
    for (int j = 0; j < F::kLevels; ++j) store_line(panel.q[part * n_steps + j * 8 + i], w[j]);
  }
}

/// Asks for part i of n of n_lines lines; the compiler knows all three. Evenly between products: what is asked for at once fills
/// the places in which loads from the second-level cache wait too.
template <int n_lines, int n>
inline void ask_for_part(const std::byte* lines, int i) {
  constexpr int most = (n_lines + n - 1) / n;
  PHIAL_UNROLL
  for (int line = 0; line < most; ++line)
    if (i * n_lines / n + line < (i + 1) * n_lines / n) ask_for(lines + (i * n_lines / n + line) * 64);
}

/// Blocks of 256 with sub-blocks, their lines as unpack_levels takes them. A sub-block is 8 steps, or 4: then each part has two
/// rows of sub-blocks. (Two panels at once would halve the loads of activations; their sums then lie in memory, and that
/// was no faster.)
/// words: the sums of sub-blocks fit 16 bits, so that one product of words scales and adds one; else that takes three operations.
template <class F, bool words, int T, int kSub, bool kMin>
inline void multiply_sub_blocks_as(const PackedChunk& at, const SubBlockScales<kSub, kMin>& scales, const ActRecord<T>& act,
                                   float* acc) {
  constexpr int n_levels = F::kLevels, n_steps = kSub / 4, n_rows = 8 / n_steps;
  constexpr int n_outer = kChunkK / 4 / (n_levels * n_steps), group_outer = n_outer * F::kGroup / kChunkK;
  // Sub-blocks of one line, all at once if registers hold their sums, else two, and lines are read again.
  constexpr int at_once = kF32x16Registers >= 32 && n_levels * (T + 1) + T + 3 > kF32x16Registers ? 2 : n_levels;
  constexpr int ahead_lines = (F::kPack.n_lines + n_outer - 1) / n_outer;
  for (int g = 0; g < kChunkK / F::kGroup; ++g) {
    I32x16 sum[T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[t] = zero_i32();
    for (int64_t outer = g * group_outer; outer < (g + 1) * group_outer; ++outer) {
      const int64_t part_index = outer / n_rows, row = outer % n_rows;
      const int64_t first_step = part_index * n_levels * 8 + row * n_steps, first_sub = first_step / n_steps;
      const ActRecord<T> here{act.q + first_step * T * 4, nullptr, act.aux + first_sub * T * 4};
      LevelLines lines = F::level_lines(at.lines, part_index);
      lines.levels += row * (n_steps * 64), lines.bits += row * (n_steps * 64);
      const std::byte* const ahead = at.ahead + outer * (ahead_lines * 64);
      PHIAL_UNROLL
      for (int first = 0; first < n_levels; first += at_once) {
        I32x16 part[at_once][T];
        PHIAL_UNROLL
        for (int j = 0; j < at_once; ++j) PHIAL_UNROLL
        for (int t = 0; t < T; ++t) part[j][t] = F::kOffset ? here.aux_dword((first + j) * n_rows, t) : zero_i32();
        PHIAL_UNROLL
        for (int i = 0; i < n_steps; ++i) {
          I32x16 w[n_levels];
          F::levels(lines, i, w);
          PHIAL_UNROLL
          for (int j = 0; j < at_once; ++j) {
            ask_for_part<ahead_lines, n_steps * n_levels>(ahead, first * n_steps + i * at_once + j);
            PHIAL_UNROLL
            for (int t = 0; t < T; ++t)
              part[j][t] = dot_bytes<false>(part[j][t], w[first + j], here.values(0, (first + j) * 8 + i, t));
          }
        }
        PHIAL_UNROLL
        for (int j = 0; j < at_once; ++j) {
          const I32x16 loaded = load(scales.scale[first_sub + (first + j) * n_rows]);
          const I32x16 scale = words ? bits_and(loaded, splat(0xFFFF)) : loaded;  // nothing for the sign in the upper word
          PHIAL_UNROLL
          for (int t = 0; t < T; ++t) sum[t] = words ? dot_words(sum[t], part[j][t], scale) : add(sum[t], mul(part[j][t], scale));
        }
      }
    }
    end_group<F>(scales, sum, act, g, acc, 16);
  }
}

template <class F, int T, int kSub, bool kMin>
inline void multiply_sub_blocks(const PackedChunk& at, const SubBlockScales<kSub, kMin>& scales, const ActRecord<T>& act,
                                float* acc) {
  constexpr bool always = F::kMaxLevel * kSub * 128 < 32768, has_flag = F::kPackedAct.sum_values != 0;
  if constexpr (kWordParts && always) return multiply_sub_blocks_as<F, true>(at, scales, act, acc);
  if constexpr (has_flag)
    if (parts_fit_words<F::kPackedAct.n_aux - 1>(act)) return multiply_sub_blocks_as<F, true>(at, scales, act, acc);
  multiply_sub_blocks_as<F, false>(at, scales, act, acc);
}

/// Blocks of 256 with sub-blocks of 16, R panels, scales multiplied into the levels as soon as these are unpacked, as in
/// FoldedPanel, so that registers hold the sums of two panels: F::scaled(w, scales, sub_block) multiplies. Pays for many tokens,
/// levels of 2 bits.
template <class F, int R, int T, class Scales>
inline void multiply_folded(const PackedChunk (&at)[R], const Scales (&scales)[R], const ActRecord<T>& act,
                            float* const (&acc)[R]) {
  static_assert(F::kLevels == 4 && F::kGroup >= 128 && F::kOffset == 0);
  constexpr int ahead_lines = (F::kPack.n_lines + 3) / 4;
  I32x16 sum[R][T];
  for (int64_t half = 0; half < 2; ++half) {
    if (half * 128 % F::kGroup == 0) {
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) PHIAL_UNROLL
      for (int t = 0; t < T; ++t) sum[r][t] = zero_i32();
    }
    for (int64_t row = 0; row < 2; ++row) {
      const ActRecord<T> here{act.q + (half * 32 + row * 4) * T * 4, nullptr, nullptr};
      LevelLines lines[R];
      const std::byte* ahead[R];
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) {
        lines[r] = F::level_lines(at[r].lines, half);
        lines[r].levels += row * (4 * 64), lines[r].bits += row * (4 * 64);
        ahead[r] = at[r].ahead + (half * 2 + row) * (ahead_lines * 64);
      }
      PHIAL_UNROLL
      for (int i = 0; i < 4; ++i) {
        PHIAL_UNROLL
        for (int j = 0; j < 4; ++j) {
          PHIAL_UNROLL
          for (int r = 0; r < R; ++r) ask_for_part<ahead_lines, 16>(ahead[r], i * 4 + j);
          I32x16 w[R];
          PHIAL_UNROLL
          for (int r = 0; r < R; ++r) {
            I32x16 all[4];  // of which one is used, so that few registers are
            F::levels(lines[r], i, all);
            w[r] = F::scaled(all[j], scales[r], half * 8 + j * 2 + row);
          }
          PHIAL_UNROLL
          for (int t = 0; t < T; ++t) {
            const auto x = here.values(0, j * 8 + i, t);
            PHIAL_UNROLL
            for (int r = 0; r < R; ++r) sum[r][t] = dot_bytes<false>(sum[r][t], w[r], x);
          }
        }
      }
    }
    if ((half + 1) * 128 % F::kGroup != 0) continue;
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) end_group<F>(scales[r], sum[r], act, half * 128 / F::kGroup, acc[r], 16);
  }
}
