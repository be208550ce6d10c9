// Integer views of the quantization blocks, one function per format.
#include "quant/integer_view.h"

#include <cstring>

#include "quant/codec.h"

namespace phial {
namespace {

using Bytes = const uint8_t*;

float f16_at(Bytes p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return f16_to_f32(h);
}

void plain(IntegerBlock& out, float d, float m, int16_t min) {
  out.scale[0] = 1;
  out.min[0] = min;
  out.d = d;
  out.m = m;
}

// 32 nibbles: low halves are values 0..15, high halves 16..31.
void nibbles(Bytes p, int offset, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>((p[i] & 15) + offset);
    q[i + 16] = static_cast<int8_t>((p[i] >> 4) + offset);
  }
}

// Bit k of a 32-bit word is the fifth bit of value k.
void add_fifth_bits(Bytes p, int8_t* q) {
  uint32_t bits;
  std::memcpy(&bits, p, 4);
  for (int k = 0; k < 32; ++k) q[k] = static_cast<int8_t>(q[k] + ((bits >> k & 1) << 4));
}

void unpack_q4_0(Bytes p, IntegerBlock& out) {
  plain(out, f16_at(p), 0, 0);
  nibbles(p + 2, -8, out.q);
}

void unpack_q4_1(Bytes p, IntegerBlock& out) {
  plain(out, f16_at(p), f16_at(p + 2), 1);
  nibbles(p + 4, 0, out.q);
}

void unpack_q5_0(Bytes p, IntegerBlock& out) {
  plain(out, f16_at(p), 0, 0);
  nibbles(p + 6, -16, out.q);
  add_fifth_bits(p + 2, out.q);
}

void unpack_q5_1(Bytes p, IntegerBlock& out) {
  plain(out, f16_at(p), f16_at(p + 2), 1);
  nibbles(p + 8, 0, out.q);
  add_fifth_bits(p + 4, out.q);
}

void unpack_q8_0(Bytes p, IntegerBlock& out) {
  plain(out, f16_at(p), 0, 0);
  std::memcpy(out.q, p + 2, 32);
}

// 2-bit values in halves of 128: byte i of a half's 32 holds values i, i + 32, i + 64, i + 96 from its low bits up.
int two_bits(Bytes p, int k) { return p[k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2) & 3; }

void unpack_q2_k(Bytes p, IntegerBlock& out) {
  for (int j = 0; j < 16; ++j) {
    out.scale[j] = p[j] & 15;
    out.min[j] = p[j] >> 4;
  }
  for (int k = 0; k < 256; ++k) out.q[k] = static_cast<int8_t>(two_bits(p + 16, k));
  out.d = f16_at(p + 80);
  out.m = -f16_at(p + 82);
}

void unpack_q3_k(Bytes p, IntegerBlock& out) {
  const Bytes low = p + 32, scales = p + 96;
  // A clear bit in the mask means minus 4.
  for (int k = 0; k < 256; ++k) out.q[k] = static_cast<int8_t>(two_bits(low, k) - (p[k % 32] >> (k / 32) & 1 ? 0 : 4));
  for (int j = 0; j < 16; ++j) {
    const int low4 = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    const int high2 = scales[8 + j % 4] >> (j / 4 * 2) & 3;
    out.scale[j] = static_cast<int16_t>((low4 | high2 << 4) - 32);
  }
  std::memset(out.min, 0, sizeof(out.min));
  out.d = f16_at(p + 108);
  out.m = 0;
}

// Eight 6-bit scales and eight 6-bit minimums in 12 bytes, as Q4_K and Q5_K have them.
void six_bit_scales(Bytes p, IntegerBlock& out) {
  for (int j = 0; j < 8; ++j) {
    if (j < 4) {
      out.scale[j] = p[j] & 63;
      out.min[j] = p[j + 4] & 63;
    } else {
      out.scale[j] = static_cast<int16_t>((p[j + 4] & 15) | p[j - 4] >> 6 << 4);
      out.min[j] = static_cast<int16_t>(p[j + 4] >> 4 | p[j] >> 6 << 4);
    }
  }
}

// Nibbles in runs of 32 bytes: low halves are 32 values, high halves the next 32.
int nibble(Bytes p, int k) { return p[k / 64 * 32 + k % 32] >> (k % 64 / 32 * 4) & 15; }

void unpack_q4_k(Bytes p, IntegerBlock& out) {
  out.d = f16_at(p);
  out.m = -f16_at(p + 2);
  six_bit_scales(p + 4, out);
  for (int k = 0; k < 256; ++k) out.q[k] = static_cast<int8_t>(nibble(p + 16, k));
}

void unpack_q5_k(Bytes p, IntegerBlock& out) {
  out.d = f16_at(p);
  out.m = -f16_at(p + 2);
  six_bit_scales(p + 4, out);
  const Bytes fifth = p + 16;  // bit k / 32 of byte k % 32
  for (int k = 0; k < 256; ++k) out.q[k] = static_cast<int8_t>(nibble(p + 48, k) | (fifth[k % 32] >> (k / 32) & 1) << 4);
}

void unpack_q6_k(Bytes p, IntegerBlock& out) {
  const Bytes high = p + 128;
  for (int k = 0; k < 256; ++k) {
    const int half = k / 128, quarter = k % 128 / 32;
    const int low4 = p[half * 64 + quarter % 2 * 32 + k % 32] >> (quarter / 2 * 4) & 15;
    out.q[k] = static_cast<int8_t>((low4 | two_bits(high, k) << 4) - 32);
  }
  for (int j = 0; j < 16; ++j) out.scale[j] = static_cast<int8_t>(p[192 + j]);
  std::memset(out.min, 0, sizeof(out.min));
  out.d = f16_at(p + 208);
  out.m = 0;
}

template <void (*kUnpack)(Bytes, IntegerBlock&)>
void on_bytes(const std::byte* block, IntegerBlock& out) {
  kUnpack(reinterpret_cast<Bytes>(block), out);
}

/// Formats without blocks have no integer view.
template <DType D>
constexpr IntegerFormat kView{};
template <>
constexpr IntegerFormat kView<DType::q4_0>{32, 32, -8, 7, false, on_bytes<unpack_q4_0>};
template <>
constexpr IntegerFormat kView<DType::q4_1>{32, 32, 0, 15, true, on_bytes<unpack_q4_1>};
template <>
constexpr IntegerFormat kView<DType::q5_0>{32, 32, -16, 15, false, on_bytes<unpack_q5_0>};
template <>
constexpr IntegerFormat kView<DType::q5_1>{32, 32, 0, 31, true, on_bytes<unpack_q5_1>};
template <>
constexpr IntegerFormat kView<DType::q8_0>{32, 32, -128, 127, false, on_bytes<unpack_q8_0>};
template <>
constexpr IntegerFormat kView<DType::q2_k>{256, 16, 0, 3, true, on_bytes<unpack_q2_k>};
template <>
constexpr IntegerFormat kView<DType::q3_k>{256, 16, -4, 3, false, on_bytes<unpack_q3_k>};
template <>
constexpr IntegerFormat kView<DType::q4_k>{256, 32, 0, 15, true, on_bytes<unpack_q4_k>};
template <>
constexpr IntegerFormat kView<DType::q5_k>{256, 32, 0, 31, true, on_bytes<unpack_q5_k>};
template <>
constexpr IntegerFormat kView<DType::q6_k>{256, 16, -32, 31, false, on_bytes<unpack_q6_k>};

}  // namespace

const IntegerFormat& integer_format(DType dtype) {
  return visit_dtype(dtype, [](auto tag) -> const IntegerFormat& { return kView<decltype(tag)::value>; });
}

}  // namespace phial
