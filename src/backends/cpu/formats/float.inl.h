// f32, f16 and bf16 weights: a line is one k of 16 rows.

template <DType kFormat>
struct FloatFormat {
  static constexpr DType kDType = kFormat;
  static constexpr PackLayout kPack = kFormat == DType::f32 ? PackLayout{1, 0, -1, 0, -1} : PackLayout{0, 0, 0, 0, -1};
  static constexpr ActLayout kAct{kFloatChunkK, 0, ActAux::none, 0, 0}, kPackedAct = kAct;
  static constexpr int kBlocksPerChunk = kFloatChunkK;
  static constexpr int kGroup = 0, kMaxWeight = 0, kOffset = 0;
  using Panel = FloatPanel;
  static void unpack(const uint8_t* lines, const uint16_t* halves, int n_k, Panel& panel) {
    for (int k = 0; k < n_k; ++k) {
      if constexpr (kFormat == DType::f32) store(panel.w[k], as_f32(load_line(lines + k * 64)));
      if constexpr (kFormat == DType::f16) store(panel.w[k], load_f16(halves + k * 16));
      if constexpr (kFormat == DType::bf16) store(panel.w[k], load_bf16(halves + k * 16));
    }
  }
};

template <>
struct FormatKernels<DType::f32> : FloatFormat<DType::f32> {};
template <>
struct FormatKernels<DType::f16> : FloatFormat<DType::f16> {};
template <>
struct FormatKernels<DType::bf16> : FloatFormat<DType::bf16> {};
