// BF16 and F16 weights as products of such pairs read them: lines of 16 rows x 2 consecutive k.

struct alignas(64) PairPanel {
  static constexpr bool kMin = false;
  uint8_t q[kPairChunkK / 2][64];
};

/// The line of k and k + 1; with n == 1 zeros for the latter, which is not read.
template <int n>
inline I32x16 weight_pair(const uint16_t* halves) {
  const I32x16 low = shift_right_bits<16>(as_i32(load_bf16(halves)));  // the bits alone, of whichever type
  if constexpr (n == 1) return low;
  return bits_or(low, as_i32(load_bf16(halves + 16)));
}

/// The lines of n_k, filled with zeros to a multiple of `whole` lines; returns how many there are.
inline int pair_lines(const uint16_t* halves, int n_k, int whole, uint8_t (*out)[64]) {
  int line = 0;
  for (; line < n_k / 2; ++line) store_line(out[line], weight_pair<2>(halves + line * 32));
  if (n_k % 2 != 0) store_line(out[line], weight_pair<1>(halves + line * 32)), ++line;
  for (; line % whole != 0; ++line) store_line(out[line], zero_i32());
  return line;
}
