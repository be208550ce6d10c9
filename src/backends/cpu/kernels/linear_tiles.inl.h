// The tile kernels: R panels of 16 rows times T tokens over one chunk, one per way of scaling. A format names its panel
// type and constants; which tile kernel multiplies it follows from the panel type. All integers are exact: with levels
// of at most 255, scales of at most 128 and 256 activations of at most 128 the sums stay below 2^31.

/// What of a format the tile kernels depend on; formats that agree here share their code.
template <int kGroup_, int kOffset_, bool kSigned_, int kTokenBytes_, int kWordSteps_, int kFlagRow_>
struct TileTraits {
  static constexpr int kTokenBytes = kTokenBytes_;
  static constexpr int kGroup = kGroup_;          // activations per scale
  static constexpr int kOffset = kOffset_;        // if not 0, integer sums start from the activations' aux dwords
  static constexpr bool kSigned = kSigned_;       // levels have a sign
  static constexpr int kWordSteps = kWordSteps_;  // steps whose sums fit 16 bits; 0 = sums have 32 bits from the start
  static constexpr int kFlagRow = kFlagRow_;      // aux dword that says whether sums of sub-blocks may exceed 16 bits; -1 = none
};

/// Where step `step` of token t lies among the dwords of a record of n tokens.
constexpr int act_index(int step, int n, int t) { return (step / kActSteps * n + t) * kActSteps + step % kActSteps; }

/// The record of one tile of T tokens.
template <int T>
struct ActRecord {
  const std::byte* q;
  const std::byte* scales;
  const std::byte* aux;
  ActRecord(const std::byte* record, int group)
      : q(record), scales(record + kChunkK * T), aux(scales + kChunkK / group * T * 4) {}
  ActRecord(const std::byte* q_, const std::byte* scales_, const std::byte* aux_) : q(q_), scales(scales_), aux(aux_) {}
  /// Four values of step first + step, for dot_bytes. The compiler knows step and t, and first is a multiple of 4, where
  /// act_dword takes a lane of a register.
  /// Indexes of 64 bits, whose constant parts become displacements.
  auto values(int64_t first, int step, int t) const { return act_dword(q + first * (T * 4), act_index(step, T, t)); }
  F32x16 scale(int64_t g, int t) const { return as_f32(splat_dword(scales + (g * T + t) * 4)); }
  I32x16 aux_dword(int64_t i, int t) const { return splat_dword(aux + (i * T + t) * 4); }
};

/// Asks for part i of n of what the next tile reads (its record, behind this one) and adds to (its sums), so that they come
/// from the outer caches while this tile is multiplied.
template <class F, int T, int R, int n>
inline void prefetch_next(const std::byte* record, const float* acc, int i) {
  __asm__ volatile("");  // else GCC takes the function for one without effects, and drops its calls
  constexpr int act_lines = (T * F::kTokenBytes + 63) / 64, acc_lines = T * R;
  const std::byte* next = record + T * F::kTokenBytes;
  constexpr int n_act = (act_lines + n - 1) / n, n_acc = (acc_lines + n - 1) / n;
  PHIAL_UNROLL
  for (int line = 0; line < n_act; ++line) __builtin_prefetch(next + (i * n_act + line) * 64);
  PHIAL_UNROLL
  for (int line = 0; line < n_acc; ++line) __builtin_prefetch(acc + (acc_lines + i * n_acc + line) * 16, 1);
}

/// The low words of v in the high words too.
inline I32x16 twice(I32x16 v) { return bits_or(bits_and(v, splat(0xFFFF)), shift_left<16>(v)); }

/// The compiler moves no load or store across it.
inline void memory_barrier() { __asm__ volatile("" ::: "memory"); }

// Integer scales per sub-block of kSub values, one d (and m) per block of 256.
template <int kSub_, bool kMin_>
struct alignas(64) SubBlockScales {
  static constexpr int kSub = kSub_;
  static constexpr bool kMin = kMin_;
  int32_t scale[kChunkK / kSub][16];
  int32_t min_pairs[kMin ? kChunkK / kSub / 2 : 1][16];
  float d[16], m[16];
};
template <int kSub, bool kMin>
struct alignas(64) SubBlockPanel : SubBlockScales<kSub, kMin> {
  uint8_t q[kChunkK / 4][64];
};

/// t = I d (+ M m); acc = fma(t, s, acc), for one panel and T tokens whose acc are `stride` apart. What the tokens share is
/// loaded once: loads are what is short here.
template <class F, class Panel, class Act, int T>
inline void end_group(const Panel& panel, const I32x16 (&sum)[T], const Act& act, int64_t g, float* acc, int64_t stride) {
  memory_barrier();  // else the sums of the next group are loaded before they are needed, and spilled
  constexpr int n_pairs = Panel::kMin ? F::kGroup / Panel::kSub / 2 : 0;
  const F32x16 d = load(panel.d);
  F32x16 value[T];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) value[t] = mul(to_f32(sum[t]), d);
  if constexpr (Panel::kMin) {
    const F32x16 m = load(panel.m);
    I32x16 mins[T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) mins[t] = zero_i32();
    PHIAL_UNROLL
    for (int i = 0; i < n_pairs; ++i) {
      const I32x16 pair = load(panel.min_pairs[g * n_pairs + i]);
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) mins[t] = dot_words(mins[t], pair, act.aux_dword(g * n_pairs + i, t));
    }
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) value[t] = fma(to_f32(mins[t]), m, value[t]);
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) store(acc + t * stride, fma(value[t], act.scale(g, t), load(acc + t * stride)));
}

/// multiply(r, t, weights, activations) for kSteps steps from `first` on: each line and each broadcast is loaded once.
template <int kSteps, int R, class Panel, int T, class Multiply>
inline void for_steps(const Panel* panels, const ActRecord<T>& act, int64_t first, Multiply multiply) {
  PHIAL_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    I32x16 w[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) w[r] = load_line(panels[r].q[first + step]);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const auto x = act.values(first, step, t);
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) multiply(r, t, w[r], x);
    }
  }
}

/// sum += factor * products of kSteps steps, from `first` on. Without a dot product of bytes in the instruction set, pairs are
/// summed as words while they fit, and the multiplication that widens them applies the factor (in both halves of a lane).
/// Registers hold the words of all tokens, or words and sums of half of them, whichever are added to more often.
template <class F, int kSteps, class Panel, int R, int T>
inline void add_steps_as_words(const Panel* panels, const ActRecord<T>& act, int first, const I32x16 (&factor)[R],
                               I32x16 (&sum)[R][T]) {
  constexpr int kWordSteps = F::kWordSteps < kSteps ? F::kWordSteps : kSteps;
  static_assert(kSteps % kWordSteps == 0);
  constexpr int kAtOnce = kWordSteps >= 4 ? T : (T + 1) / 2;
  PHIAL_UNROLL
  for (int begin_t = 0; begin_t < T; begin_t += kAtOnce) {
    PHIAL_UNROLL
    for (int begin = 0; begin < kSteps; begin += kWordSteps) {
      Words part[R][kAtOnce];
      PHIAL_UNROLL
      for (int step = 0; step < kWordSteps; ++step) {
        I32x16 w[R];
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) w[r] = load_line(panels[r].q[first + begin + step]);
        PHIAL_UNROLL
        for (int t = 0; t < kAtOnce; ++t) {
          if (begin_t + t == T) break;
          const auto x = act.values(first + begin, step, begin_t + t);
          PHIAL_UNROLL
          for (int r = 0; r < R; ++r) {
            Words& words = part[r][t];
            words = step == 0 ? pair_products(w[r], x) : add_words(words, pair_products(w[r], x));
            keep(words);  // else GCC adds in another order, with more products than registers
          }
        }
      }
      PHIAL_UNROLL
      for (int t = 0; t < kAtOnce; ++t) {
        if (begin_t + t == T) break;
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          sum[r][begin_t + t] = dot_words(sum[r][begin_t + t], part[r][t], factor[r]);
          keep(sum[r][begin_t + t]);
        }
      }
    }
  }
}

/// sum += products of kSteps steps, from `first` on.
template <class F, int kSteps, class Panel, int R, int T>
inline void add_steps(const Panel* panels, const ActRecord<T>& act, int64_t first, I32x16 (&sum)[R][T]) {
  if constexpr (F::kWordSteps > 0) {
    I32x16 one[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) one[r] = splat(0x00010001);
    add_steps_as_words<F, kSteps>(panels, act, first, one, sum);
  } else {
    for_steps<kSteps, R>(panels, act, first,
                         [&sum](int r, int t, I32x16 w, auto x) { sum[r][t] = dot_bytes<F::kSigned>(sum[r][t], w, x); });
  }
}

/// Whether pairs of products are summed as words: then scales are not multiplied into levels, of which the more can be summed
/// the smaller they are.
constexpr bool kSumsWords = word_steps(1) > 0;
/// Whether levels of at most `top` are multiplied with their signs: where unsigned ones have to be below 128.
constexpr bool uses_signed(int top) { return kSignedAbove127 && top > 127; }

/// The start of integer sums: what aux dword i of each token holds, or zero.
template <class F, int R, int T>
inline void start_sums(const ActRecord<T>& act, int64_t i, I32x16 (&sum)[R][T]) {
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) {
    sum[0][t] = F::kOffset != 0 ? act.aux_dword(i, t) : zero_i32();
    PHIAL_UNROLL
    for (int r = 1; r < R; ++r) sum[r][t] = sum[0][t];
  }
}

/// Whether the sums of sub-blocks of all tokens fit 16 bits, by the aux dwords of a row.
template <int flag_row, int T>
inline bool parts_fit_words(const ActRecord<T>& act) {
  int32_t flags[T], any = 0;
  __builtin_memcpy(flags, act.aux + flag_row * T * 4, sizeof flags);
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) any |= flags[t];
  return any == 0;
}

/// Sub-blocks whose sums fit 16 bits, two at a time: the first's sum is moved to the high half before the second is added to the
/// low half, and one product of words scales and adds both. (A constant keeps the low half from borrowing.)
template <class F, int R, int T, int kSub, bool kMin>
inline void multiply_tile_in_words(const SubBlockPanel<kSub, kMin>* panels, const ActRecord<T>& act, const std::byte* record,
                                   float* acc) {
  for (int g = 0; g < kChunkK / F::kGroup; ++g) {
    I32x16 sum[R][T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) PHIAL_UNROLL
    for (int r = 0; r < R; ++r) sum[r][t] = zero_i32();
    for (int64_t j = g * (F::kGroup / kSub); j < (g + 1) * (F::kGroup / kSub); j += 2) {
      const I32x16 middle = splat(0x8000);
      prefetch_next<F, T, R, kChunkK / kSub / 2>(record, acc, static_cast<int>(j / 2));
      I32x16 part[R][T];
      start_sums<F>(act, j, part);
      add_steps<F, kSub / 4>(panels, act, j * (kSub / 4), part);
      // All sums come here at once: one operation, and what else there is to add waits for the end.
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) PHIAL_UNROLL
      for (int r = 0; r < R; ++r) part[r][t] = shift_left<16>(part[r][t]);
      add_steps<F, kSub / 4>(panels, act, (j + 1) * (kSub / 4), part);
      I32x16 scales[R];
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r)
        scales[r] = bits_or(shift_left<16>(load(panels[r].scale[j])), bits_and(load(panels[r].scale[j + 1]), splat(0xFFFF)));
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) {
        const I32x16 start = F::kOffset != 0 ? add(act.aux_dword(j + 1, t), middle) : middle;
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) add_dot_words(sum[r][t], add_words(add(part[r][t], start), middle), scales[r]);
      }
    }
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) end_group<F>(panels[r], sum[r], act, g, acc + r * 16, R * 16);
  }
}

template <class F, int R, int T, int kSub, bool kMin>
inline void multiply_tile(const SubBlockPanel<kSub, kMin>* panels, int, const std::byte* record, float* acc) {
  const ActRecord<T> act(record, F::kGroup);
  if constexpr (F::kFlagRow >= 0)
    if (parts_fit_words<F::kFlagRow>(act)) return multiply_tile_in_words<F, R>(panels, act, record, acc);
  for (int g = 0; g < kChunkK / F::kGroup; ++g) {
    I32x16 sum[R][T];
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) PHIAL_UNROLL
    for (int r = 0; r < R; ++r) sum[r][t] = zero_i32();
    for (int j = g * (F::kGroup / kSub); j < (g + 1) * (F::kGroup / kSub); ++j) {
      prefetch_next<F, T, R, kChunkK / kSub>(record, acc, j);
      if constexpr (F::kWordSteps > 0) {
        I32x16 scale[R], pair[R];
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          scale[r] = load(panels[r].scale[j]);
          pair[r] = twice(scale[r]);
        }
        add_steps_as_words<F, kSub / 4>(panels, act, j * (kSub / 4), pair, sum);
        if constexpr (F::kOffset != 0) {
          // -offset * sum as a product of words: what of the offset a word does not hold goes to the scale.
          constexpr int kShift = F::kOffset * kSub * 128 > 32767 ? 5 : 0;
          static_assert(F::kOffset % (1 << kShift) == 0 && F::kOffset * kSub * 128 >> kShift <= 32767);
          I32x16 times[R];
          PHIAL_UNROLL
          for (int r = 0; r < R; ++r) times[r] = bits_and(shift_left<kShift>(scale[r]), splat(0xFFFF));
          PHIAL_UNROLL
          for (int t = 0; t < T; ++t) {
            const I32x16 offset = shift_right<kShift>(act.aux_dword(j, t));
            PHIAL_UNROLL
            for (int r = 0; r < R; ++r) sum[r][t] = dot_words(sum[r][t], offset, times[r]);
          }
        }
      } else {
        I32x16 part[R][T];
        start_sums<F>(act, j, part);
        add_steps<F, kSub / 4>(panels, act, j * (kSub / 4), part);
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) {
          const I32x16 scale = load(panels[r].scale[j]);
          PHIAL_UNROLL
          for (int t = 0; t < T; ++t) sum[r][t] = add(sum[r][t], mul(part[r][t], scale));
        }
      }
    }
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) end_group<F>(panels[r], sum[r], act, g, acc + r * 16, R * 16);
  }
}

// Sub-block scales already multiplied into the levels, which then still fit a byte.
template <int kSub_, bool kMin_>
struct alignas(64) FoldedPanel {
  static constexpr int kSub = kSub_;
  static constexpr bool kMin = kMin_;
  uint8_t q[kChunkK / 4][64];
  int32_t min_pairs[kMin ? kChunkK / kSub / 2 : 1][16];
  float d[16], m[16];
};

template <class F, int R, int T, int kSub, bool kMin>
inline void multiply_tile(const FoldedPanel<kSub, kMin>* panels, int, const std::byte* record, float* acc) {
  const ActRecord<T> act(record, F::kGroup);
  for (int g = 0; g < kChunkK / F::kGroup; ++g) {
    I32x16 sum[R][T];
    start_sums<F>(act, g, sum);
    for (int step = g * (F::kGroup / 4); step < (g + 1) * (F::kGroup / 4); step += 4) {
      prefetch_next<F, T, R, kChunkK / 16>(record, acc, step / 4);
      add_steps<F, 4>(panels, act, step, sum);
    }
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) end_group<F>(panels[r], sum[r], act, g, acc + r * 16, R * 16);
  }
}

// A float scale (and minimum) per block of 32.
template <bool kMin_>
struct alignas(64) BlockPanel {
  static constexpr bool kMin = kMin_;
  uint8_t q[kChunkK / 4][64];
  float d[kChunkK / 32][16];
  float m[kMin ? kChunkK / 32 : 1][16];
};

template <class F, int R, int T, bool kMin>
inline void multiply_tile(const BlockPanel<kMin>* panels, int n_blocks, const std::byte* record, float* acc) {
  static_assert(F::kGroup == 32);  // one scale of activations per block, so what is added to stays in registers
  const ActRecord<T> act(record, F::kGroup);
  F32x16 total[T][R];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) total[t][r] = load(acc + (t * R + r) * 16);
  for (int j = 0; j < n_blocks; ++j) {
    prefetch_next<F, T, R, kChunkK / 32>(record, acc, j);
    I32x16 sum[R][T];
    start_sums<F>(act, j, sum);
    add_steps<F, 8>(panels, act, j * 8, sum);
    memory_barrier();
    F32x16 d[R], m[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) {
      d[r] = load(panels[r].d[j]);
      if constexpr (kMin) m[r] = load(panels[r].m[j]);
    }
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const F32x16 scale = act.scale(j, t);
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) {
        F32x16 value = mul(to_f32(sum[r][t]), d[r]);
        if constexpr (kMin) value = fma(as_f32(act.aux_dword(j, t)), m[r], value);
        total[t][r] = fma(value, scale, total[t][r]);
      }
    }
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) store(acc + (t * R + r) * 16, total[t][r]);
}

// f32, f16 and bf16 weights, widened; n_blocks is the number of k.
struct alignas(64) FloatPanel {
  float w[kFloatChunkK][16];
};

template <class F, int R, int T>
inline void multiply_tile(const FloatPanel* panels, int n_k, const std::byte* record, float* acc) {
  F32x16 sum[T][R];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) sum[t][r] = load(acc + (t * R + r) * 16);
  _Pragma("GCC unroll 4") for (int k = 0; k < n_k; ++k) {
    if (k % 4 == 0) prefetch_next<F, T, R, kFloatChunkK / 4>(record, acc, k / 4);
    F32x16 w[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) w[r] = load(panels[r].w[k]);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const F32x16 x = as_f32(splat_dword(record + (k * T + t) * 4));
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) sum[t][r] = fma(w[r], x, sum[t][r]);
    }
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) store(acc + (t * R + r) * 16, sum[t][r]);
}

template <class F, class Panel, int R>
void multiply_panels(const Panel* panels, int n_blocks, const std::byte* act, int n_tokens, float* acc, LinesAhead& ahead) {
  for (; n_tokens >= kTileTokens; n_tokens -= kTileTokens) {
    ahead.ask(), ahead.ask();
    multiply_tile<F, R, kTileTokens>(panels, n_blocks, act, acc);
    act += kTileTokens * F::kTokenBytes;
    acc += kTileTokens * R * 16;
  }
  static_assert(kTileTokens == 6);
  switch (n_tokens) {
    case 1:
      return multiply_tile<F, R, 1>(panels, n_blocks, act, acc);
    case 2:
      return multiply_tile<F, R, 2>(panels, n_blocks, act, acc);
    case 3:
      return multiply_tile<F, R, 3>(panels, n_blocks, act, acc);
    case 4:
      return multiply_tile<F, R, 4>(panels, n_blocks, act, acc);
    case 5:
      return multiply_tile<F, R, 5>(panels, n_blocks, act, acc);
    default:
      return;
  }
}

template <class F>
void multiply(const std::byte* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc, bool,
              LinesAhead& ahead) {
  using Panel = typename F::Panel;
  using Traits = TileTraits<F::kGroup, kSumsWords ? F::kOffset : F::kOffset != 0, uses_signed(F::kMaxWeight),
                            F::kAct.token_bytes(), word_steps(F::kMaxWeight), F::kAct.sum_values != 0 ? F::kAct.n_aux - 1 : -1>;
  const auto* p = reinterpret_cast<const Panel*>(panels);
  if (kTilePanels == 1 || n_panels == 1) return multiply_panels<Traits, Panel, 1>(p, n_blocks, act, n_tokens, acc, ahead);
  if constexpr (kTilePanels == 2) multiply_panels<Traits, Panel, 2>(p, n_blocks, act, n_tokens, acc, ahead);
}

/// A chunk of a packed panel. `ahead`: what lies as `lines` do (or `halves` where there are no lines), to be asked for now.
struct PackedChunk {
  const uint8_t* lines;
  const uint16_t* halves;
  const std::byte* ahead;
};

/// Bytes ahead of what is being multiplied that are asked for. 8 KiB are longer than memory takes to answer. Into the first-level
/// cache: from 12 KiB on lines are evicted there before they are used (Zen 4), and 24 KiB into the second-level cache are slower
/// (Zen 5). On Intel with AMX the second-level cache is better, by up to 6 %.
#ifndef PHIAL_PREFETCH_LEVEL
#define PHIAL_PREFETCH_LEVEL 3
#endif
constexpr int kPrefetchBytes = 8192;
inline void ask_for(const void* line) {
  __asm__ volatile("");  // else GCC moves all of a loop's to its head, where they hold back loads (Q4_K on Intel: a fifth slower)
  __builtin_prefetch(line, 0, PHIAL_PREFETCH_LEVEL);
}

/// Few tokens: R panels, all chunks, the levels taken from the packed lines without a panel in between.
template <class F, int R, int T>
void multiply_packed_tile(const PackedPanels& panels, const std::byte* record, int64_t chunk_stride, float* const (&acc)[R]) {
  constexpr int64_t per_chunk = F::kBlocksPerChunk, half_bytes = per_chunk * 32, line_bytes = per_chunk * F::kPack.n_lines * 64;
  constexpr bool has_lines = line_bytes > 0;
  constexpr int64_t chunk_bytes = has_lines ? line_bytes : half_bytes,
                    n_ahead = (kPrefetchBytes / R + chunk_bytes - 1) / chunk_bytes;
  const int64_t n_chunks = (panels.n_blocks + per_chunk - 1) / per_chunk, begin = has_lines ? panels.half_bytes : 0;
  for (int64_t c = 0; c < n_chunks; ++c, record += chunk_stride) {
    PackedChunk at[R];
    const bool in_next = c + n_ahead >= n_chunks;
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) {
      at[r].lines = reinterpret_cast<const uint8_t*>(panels.start[r] + panels.half_bytes + c * line_bytes);
      at[r].halves = reinterpret_cast<const uint16_t*>(panels.start[r] + c * half_bytes);
      at[r].ahead = (in_next ? panels.next[r] : panels.start[r]) + begin + (c + n_ahead - (in_next ? n_chunks : 0)) * chunk_bytes;
      if (has_lines && panels.half_bytes > 0)
        for (int64_t i = 0; i < half_bytes; i += 64) ask_for(panels.next[r] + c * half_bytes + i);
    }
    const int64_t n = panels.n_blocks - c * per_chunk;
    F::template multiply_packed<R, T>(at, static_cast<int>(n < per_chunk ? n : per_chunk), record, acc);
  }
}

template <int T>
struct TokenCount {
  static constexpr int value = T;
};
/// Tokens that are multiplied straight from packed lines as one tile, at most.
constexpr int packed_tokens() { return kF32x16Registers >= 32 ? 8 : kPackedTokens; }
/// call(TokenCount<n>) for n in 1..most.
template <int most, class Call>
inline void with_token_count(int n, Call call) {
  static_assert(most <= 8);
  const auto call_with = [&call]<int T>(TokenCount<T> count) {
    if constexpr (T <= most) call(count);
  };
  switch (n) {
    case 1:
      return call_with(TokenCount<1>());
    case 2:
      return call_with(TokenCount<2>());
    case 3:
      return call_with(TokenCount<3>());
    case 4:
      return call_with(TokenCount<4>());
    case 5:
      return call_with(TokenCount<5>());
    case 6:
      return call_with(TokenCount<6>());
    case 7:
      return call_with(TokenCount<7>());
    default:
      return call_with(TokenCount<8>());
  }
}

/// Panels that are multiplied at once straight from packed lines.
template <class F>
constexpr int packed_panels(int n_tokens) {
  if constexpr (requires { F::packed_panels(n_tokens); })
    return F::packed_panels(n_tokens);
  else
    return 1;
}

template <class F>
void multiply_packed(const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int n_tokens,
                     float* const (&acc)[kMaxPanels]) {
  with_token_count<packed_tokens()>(n_tokens, [&](auto count) {
    constexpr int T = decltype(count)::value, R = packed_panels<F>(T);
    if constexpr (R == 2) {
      if (panels.n == 2) return multiply_packed_tile<F, 2, T>(panels, act, chunk_stride, acc);
      // A panel without a fellow stands for both.
      alignas(64) float unused[T * 16] = {};
      const PackedPanels twice{
          2, {panels.start[0], panels.start[0]}, {panels.next[0], panels.next[0]}, panels.half_bytes, panels.n_blocks};
      multiply_packed_tile<F, 2, T>(twice, act, chunk_stride, {acc[0], unused});
    } else {
      for (int p = 0; p < panels.n; ++p) {
        const PackedPanels one{
            1, {panels.start[p]}, {p + 1 < panels.n ? panels.start[p + 1] : panels.next[0]}, panels.half_bytes, panels.n_blocks};
        multiply_packed_tile<F, 1, T>(one, act, chunk_stride, {acc[p]});
      }
    }
  });
}

template <class F>
constexpr auto multiply_packed_or_null() -> decltype(&multiply_packed<F>) {
  if constexpr (kPackedTokens > 0)
    return multiply_packed<F>;
  else
    return nullptr;
}

/// For instruction sets that want the lines of a panel in another order.
template <class Panel>
inline void arrange_lines(Panel&) {}

template <class F>
void unpack(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) {
  auto& unpacked = *reinterpret_cast<typename F::Panel*>(panel);
  F::unpack(lines, halves, n_blocks, unpacked);
  arrange_lines(unpacked);
}

/// Specialised in the file of a format: kDType, kPack, kAct, kPackedAct, kGroup, kOffset, kMaxWeight, kBlocksPerChunk,
/// Panel, unpack, multiply_packed (and kMaxLevel where that is of sub-blocks); packed_panels if it takes two panels at once.
template <DType D>
struct FormatKernels;

/// An entry of the table; one without kernels where the format has none.
template <DType D>
constexpr LinearFormat linear_format() {
  if constexpr (requires { sizeof(FormatKernels<D>); }) {
    using F = FormatKernels<D>;
    LinearFormat format{
        D, F::kPack, F::kAct, F::kPackedAct, sizeof(typename F::Panel), unpack<F>, multiply<F>, multiply_packed_or_null<F>()};
    format.packed_tokens = packed_tokens();
    format.packed_tiles = kPackedTokens == kTileTokens ? 2 : 1;
    return format;
  } else {
    return {.dtype = D};
  }
}

/// The activation layout of a quantized format.
constexpr ActLayout act_layout(int group, ActAux aux, int offset) {
  const int n_aux = aux == ActAux::pairs16 || aux == ActAux::offset32 || aux == ActAux::sums32 ? 8
                    : aux == ActAux::pairs32                                                   ? 4
                    : aux == ActAux::offset16                                                  ? 16
                    : aux == ActAux::offset_group                                              ? kChunkK / group
                                                                                               : 0;
  return {kChunkK, ActValues::i8, group, aux, offset, n_aux};
}
/// With the dword that says whether sums of n products may exceed the limit.
constexpr ActLayout with_sum_flag(ActLayout layout, int n, int low, int high, int limit) {
  layout.sum_values = n, layout.sum_low = low, layout.sum_high = high, layout.sum_limit = limit, ++layout.n_aux;
  return layout;
}
/// Whether sums of sub-blocks may exceed 16 bits, for instruction sets that ask.
constexpr ActLayout with_word_flag(ActLayout layout, int sub_block, int low, int high) {
  return kWordParts ? with_sum_flag(layout, sub_block, low, high, 32767) : layout;
}
