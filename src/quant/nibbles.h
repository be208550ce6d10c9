// Levels of four bits in runs of 2 n values: the low nibbles of n bytes are the first half of a run, the high nibbles the second.
// Legacy blocks are one run of n = 16, K-quants several of n = 32. A fifth bit of legacy levels lies apart, bit i for value i.
#pragma once

#include <cstdint>

namespace phial {

template <int n>
void unpack_nibbles(const uint8_t* bytes, int8_t* q) {
  for (int i = 0; i < n; ++i) {
    q[i] = static_cast<int8_t>(bytes[i] & 15);
    q[i + n] = static_cast<int8_t>(bytes[i] >> 4);
  }
}

/// Higher bits of the levels are left out.
template <int n>
void pack_nibbles(const uint8_t* q, uint8_t* bytes) {
  for (int i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + n] & 15) << 4);
}

inline void add_fifth_bits(const uint8_t* bits, int8_t* q) {
  for (int i = 0; i < 32; ++i) q[i] = static_cast<int8_t>(q[i] | (bits[i / 8] >> (i % 8) & 1) << 4);
}

inline void pack_fifth_bits(const uint8_t* q, uint8_t* bits) {
  for (int i = 0; i < 4; ++i) bits[i] = 0;
  for (int i = 0; i < 32; ++i) bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | (q[i] >> 4) << (i % 8));
}

}  // namespace phial
