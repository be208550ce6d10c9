// Taking levels and scales out of packed lines.

inline I32x16 nibbles_low(I32x16 v) { return bits_and(v, splat(0x0F0F0F0F)); }
inline I32x16 nibbles_high(I32x16 v) { return bits_and(shift_right_bits<4>(v), splat(0x0F0F0F0F)); }

/// Bit `bit` of each byte, moved to bit `to`.
template <int bit, int to>
inline I32x16 bit_of_bytes(I32x16 v) {
  const I32x16 mask = splat(0x01010101 << to);
  if constexpr (bit > to)
    return bits_and(shift_right_bits<bit - to>(v), mask);
  else
    return bits_and(shift_left<to - bit>(v), mask);
}

/// Byte j of each lane to lane-wide integers out[j], for j in 0..3.
inline void unpack_scales(I32x16 v, int32_t* out) {
  const I32x16 byte = splat(0xFF);
  store(out, bits_and(v, byte));
  store(out + 16, bits_and(shift_right_bits<8>(v), byte));
  store(out + 32, bits_and(shift_right_bits<16>(v), byte));
  store(out + 48, shift_right_bits<24>(v));
}
/// Bytes 0 and 2 of each lane as words, then bytes 1 and 3.
inline void unpack_pairs(I32x16 v, int32_t* out) {
  const I32x16 even = splat(0x00FF00FF);
  store(out, bits_and(v, even));
  store(out + 16, bits_and(shift_right_bits<8>(v), even));
}
