// f32, f16 and bf16 weights: a line is one k of 16 rows.

template <DType kFormat>
struct FloatFormat {
  static constexpr DType kDType = kFormat;
  static constexpr PackLayout kPack = kFormat == DType::f32 ? PackLayout{1, 0, -1, 0, -1} : PackLayout{0, 0, 0, 0, -1};
  static constexpr ActLayout kAct{.chunk_k = kFloatChunkK}, kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kFloatChunkK;
  static constexpr int packed_panels(int) { return 2; }
  static constexpr int kGroup = 0, kMaxWeight = 0, kOffset = 0;
  static constexpr int kLineBytes = kFormat == DType::f32 ? 64 : 32;  // of one k
  using Panel = FloatPanel;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_k, Panel& panel) {
    for (int k = 0; k < n_k; ++k) store(panel.w[k], widened(start(lines, halves), k));
  }

  /// One panel alone would wait for its sums, each of which needs the one before.
  template <int R, int T>
  static void multiply_packed(const PackedChunk (&at)[R], int n_k, const std::byte* record, float* const (&acc)[R]) {
    const std::byte* panels[R];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) panels[r] = start(at[r].lines, at[r].halves);
    F32x16 sum[R][T];
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) PHIAL_UNROLL
    for (int t = 0; t < T; ++t) sum[r][t] = load(acc[r] + t * 16);
    _Pragma("GCC unroll 4") for (int k = 0; k < n_k; ++k) {
      F32x16 w[R];
      PHIAL_UNROLL
      for (int r = 0; r < R; ++r) {
        if (k * kLineBytes % 64 == 0) ask_for(at[r].ahead + k * kLineBytes);
        w[r] = widened(panels[r], k);
      }
      PHIAL_UNROLL
      for (int t = 0; t < T; ++t) {
        const F32x16 x = as_f32(splat_dword(record + (k * T + t) * 4));
        PHIAL_UNROLL
        for (int r = 0; r < R; ++r) sum[r][t] = fma(w[r], x, sum[r][t]);
      }
    }
    PHIAL_UNROLL
    for (int r = 0; r < R; ++r) PHIAL_UNROLL
    for (int t = 0; t < T; ++t) store(acc[r] + t * 16, sum[r][t]);
  }

 private:
  static const std::byte* start(const uint8_t* lines, const uint16_t* halves) {
    return kFormat == DType::f32 ? reinterpret_cast<const std::byte*>(lines) : reinterpret_cast<const std::byte*>(halves);
  }
  static F32x16 widened(const std::byte* panel, int k) {
    if constexpr (kFormat == DType::f32) return load(reinterpret_cast<const float*>(panel) + k * 16);
    const auto* halves = reinterpret_cast<const uint16_t*>(panel) + k * 16;
    if constexpr (kFormat == DType::f16) return load_f16(halves);
    return load_bf16(halves);
  }
};

template <>
struct FormatKernels<DType::f32> : FloatFormat<DType::f32> {};
template <>
struct FormatKernels<DType::f16> : FloatFormat<DType::f16> {};
template <>
struct FormatKernels<DType::bf16> : FloatFormat<DType::bf16> {};
