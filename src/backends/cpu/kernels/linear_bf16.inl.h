// BF16 weights times activations rounded to bf16, by dot_bf16(sum, weights, activations): two products a lane.

template <class F, int R, int T>
inline void multiply_tile(const PairPanel* panels, int n_k, const std::byte* record, float* acc) {
  F32x16 sum[T][R];
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) sum[t][r] = load(acc + (t * R + r) * 16);
  _Pragma("GCC unroll 4") for (int line = 0; line < (n_k + 1) / 2; ++line) {
    if (line % 4 == 0) prefetch_next<F, T, R, kPairChunkK / 8>(record, acc, line / 4);
    I32x16 w[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) w[r] = load_line(panels[r].q[line]);
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const I32x16 x = splat_dword(record + (line * T + t) * 4);
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) sum[t][r] = dot_bf16(sum[t][r], w[r], x);
    }
  }
  PHIAL_UNROLL
  for (int t = 0; t < T; ++t) PHIAL_UNROLL
  for (int r = 0; r < R; ++r) store(acc + (t * R + r) * 16, sum[t][r]);
}

struct Bf16Format {
  static constexpr DType kDType = DType::bf16;
  static constexpr PackLayout kPack{0, 0, 0, 0, -1};
  static constexpr ActLayout kAct = bf16_layout(), kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kPairChunkK;
  static constexpr int packed_panels(int) { return 2; }
  static constexpr int kGroup = 0, kMaxWeight = 0, kOffset = 0;
  using Panel = PairPanel;

  static void unpack(const uint8_t*, const uint16_t* halves, int n_k, Panel& panel) { pair_lines(halves, n_k, 1, panel.q); }

  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int n_k, const std::byte* record, float* const (&acc)[R]) {
    F32x16 sum[R][T];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[r][t] = load(acc[r] + t * 16);
    _Pragma("GCC unroll 4") for (int line = 0; line < n_k / 2; ++line) add_line<2>(at, line, record, sum);
    if (n_k % 2 != 0) add_line<1>(at, n_k / 2, record, sum);
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) PHIAL_UNROLL
    for (int t = 0; t < T; ++t) store(acc[r] + t * 16, sum[r][t]);
  }

 private:
  template <int n, int R, int T>
  static void add_line(const PackedChunk (&at)[R], int line, const std::byte* record, F32x16 (&sum)[R][T]) {
    I32x16 w[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) {
      ask_for(at[r].ahead + line * 64);
      w[r] = weight_pair<n>(at[r].halves + line * 32);
    }
    PHIAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const I32x16 x = splat_dword(record + (line * T + t) * 4);
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) sum[r][t] = dot_bf16(sum[r][t], w[r], x);
    }
  }
};

template <>
struct FormatKernels<DType::bf16> : Bf16Format {};
