// Decoding of every format: all scale patterns, formulas by hand, and the table itself.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quant/block_formats.h"
#include "quant/codec.h"

using namespace phial;

namespace {

template <typename T>
std::vector<float> decode_plain(DType dtype, std::vector<T> values) {
  std::vector<float> out(values.size());
  codec(dtype).decode(reinterpret_cast<const std::byte*>(values.data()), out.data(), static_cast<int64_t>(values.size()));
  return out;
}

/// Byte offsets of the f16 scales in a block.
std::vector<size_t> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::q4_0:
    case DType::q5_0:
    case DType::q8_0:
      return {0};
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k:
      return {0, 2};
    case DType::q2_k:
      return {80, 82};
    case DType::q3_k:
      return {108};
    case DType::q6_k:
      return {208};
    default:
      return {};
  }
}

}  // namespace

TEST_CASE("every format has a decoder") {
  for (DType d : kAllDTypes) {
    CAPTURE(format_info(d).text);
    CHECK(static_cast<bool>(codec(d).decode));
    CHECK(static_cast<bool>(codec(d).find_non_finite));
  }
}

TEST_CASE("number formats decode to f32") {
  CHECK(decode_plain<int8_t>(DType::i8, {-128, 0, 127}) == std::vector<float>{-128, 0, 127});
  CHECK(decode_plain<int16_t>(DType::i16, {-32768, 5}) == std::vector<float>{-32768, 5});
  CHECK(decode_plain<int32_t>(DType::i32, {-5, 1 << 30}) == std::vector<float>{-5, 0x1p30f});
  CHECK(decode_plain<int64_t>(DType::i64, {int64_t{1} << 60}) == std::vector<float>{0x1p60f});
  CHECK(decode_plain<double>(DType::f64, {0.5, 1e300, -1e300}) == std::vector<float>{0.5f, INFINITY, -INFINITY});
  CHECK(decode_plain<float>(DType::f32, {1.5f, -0.0f}) == std::vector<float>{1.5f, -0.0f});
}

TEST_CASE("find_non_finite names the first bad value or block") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values{0, 1, nan, INFINITY};
  CHECK(codec(DType::f32).find_non_finite(reinterpret_cast<const std::byte*>(values.data()), 2) == -1);
  CHECK(codec(DType::f32).find_non_finite(reinterpret_cast<const std::byte*>(values.data()), 4) == 2);
  for (DType d : kAllDTypes) {
    if (!format_info(d).is_quantized()) continue;
    CAPTURE(format_info(d).text);
    const size_t block = format_info(d).block_bytes;
    for (size_t offset : scale_offsets(d)) {
      std::vector<std::byte> bytes(3 * block);
      const int64_t n = 3 * format_info(d).block_values;
      CHECK(codec(d).find_non_finite(bytes.data(), n) == -1);
      const uint16_t inf = 0xFC00;
      std::memcpy(bytes.data() + 2 * block + offset, &inf, 2);
      CHECK(codec(d).find_non_finite(bytes.data(), n) == 2);
    }
  }
}

TEST_CASE("every f16 scale pattern decodes in every block format, from odd addresses too") {
  for (DType d : kAllDTypes) {
    if (!format_info(d).is_quantized()) continue;
    CAPTURE(format_info(d).text);
    const size_t block = format_info(d).block_bytes;
    std::vector<std::byte> bytes(block + 1);
    for (size_t i = 0; i < block; ++i) bytes[i + 1] = static_cast<std::byte>(i * 37 + 11);
    std::vector<float> out(format_info(d).block_values);
    for (size_t offset : scale_offsets(d))
      for (uint32_t h = 0; h < 65536; ++h) {
        const auto pattern = static_cast<uint16_t>(h);
        std::memcpy(bytes.data() + 1 + offset, &pattern, 2);
        codec(d).decode(bytes.data() + 1, out.data(), static_cast<int64_t>(out.size()));
        const bool finite = codec(d).find_non_finite(bytes.data() + 1, static_cast<int64_t>(out.size())) == -1;
        if (finite) {
          for (float v : out)
            if (!std::isfinite(v)) FAIL("a finite scale gave a value that is not: " << h);
        }
      }
  }
}

template <DType D>
void decode(const typename BlockFormat<D>::Block& block, float* out) {
  codec(D).decode(reinterpret_cast<const std::byte*>(&block), out, format_info(D).block_values);
}

TEST_CASE("pack is the inverse of decode") {
  uint8_t q[256], scale[16], min[16];
  int8_t signed_scale[16];
  uint32_t seed = 1;
  const auto next = [&seed](uint32_t n) { return static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 16) % n; };
  const uint16_t one = 0x3C00, two = 0x4000;
  float out[256];

  for (int round = 0; round < 20; ++round) {
    const auto fill = [&](uint32_t n) {
      for (auto& v : q) v = static_cast<uint8_t>(next(n));
    };
    {
      BlockQ4_0 b;
      fill(16);
      BlockFormat<DType::q4_0>::pack(b, two, q);
      decode<DType::q4_0>(b, out);
      for (int i = 0; i < 32; ++i) REQUIRE(out[i] == 2.0f * (q[i] - 8));
    }
    {
      BlockQ4_1 b;
      fill(16);
      BlockFormat<DType::q4_1>::pack(b, two, one, q);
      decode<DType::q4_1>(b, out);
      for (int i = 0; i < 32; ++i) REQUIRE(out[i] == 2.0f * q[i] + 1);
    }
    {
      BlockQ5_0 b;
      fill(32);
      BlockFormat<DType::q5_0>::pack(b, two, q);
      decode<DType::q5_0>(b, out);
      for (int i = 0; i < 32; ++i) REQUIRE(out[i] == 2.0f * (q[i] - 16));
    }
    {
      BlockQ5_1 b;
      fill(32);
      BlockFormat<DType::q5_1>::pack(b, two, one, q);
      decode<DType::q5_1>(b, out);
      for (int i = 0; i < 32; ++i) REQUIRE(out[i] == 2.0f * q[i] + 1);
    }
    {
      BlockQ8_0 b;
      fill(256);
      BlockFormat<DType::q8_0>::pack(b, two, q);
      decode<DType::q8_0>(b, out);
      for (int i = 0; i < 32; ++i) REQUIRE(out[i] == 2.0f * (q[i] - 128));
    }
    for (int j = 0; j < 16; ++j) {
      scale[j] = static_cast<uint8_t>(next(16));
      min[j] = static_cast<uint8_t>(next(16));
    }
    {
      BlockQ2_K b;
      fill(4);
      BlockFormat<DType::q2_k>::pack(b, two, one, scale, min, q);
      decode<DType::q2_k>(b, out);
      for (int i = 0; i < 256; ++i) REQUIRE(out[i] == 2.0f * scale[i / 16] * q[i] - min[i / 16]);
    }
    for (int j = 0; j < 8; ++j) {
      scale[j] = static_cast<uint8_t>(next(64));
      min[j] = static_cast<uint8_t>(next(64));
    }
    {
      BlockQ4_K b;
      fill(16);
      BlockFormat<DType::q4_k>::pack(b, two, one, scale, min, q);
      decode<DType::q4_k>(b, out);
      for (int i = 0; i < 256; ++i) REQUIRE(out[i] == 2.0f * scale[i / 32] * q[i] - min[i / 32]);
    }
    {
      BlockQ5_K b;
      fill(32);
      BlockFormat<DType::q5_k>::pack(b, two, one, scale, min, q);
      decode<DType::q5_k>(b, out);
      for (int i = 0; i < 256; ++i) REQUIRE(out[i] == 2.0f * scale[i / 32] * q[i] - min[i / 32]);
    }
    for (int j = 0; j < 16; ++j) signed_scale[j] = static_cast<int8_t>(next(64) - 32);
    {
      BlockQ3_K b;
      fill(8);
      BlockFormat<DType::q3_k>::pack(b, two, signed_scale, q);
      decode<DType::q3_k>(b, out);
      for (int i = 0; i < 256; ++i) REQUIRE(out[i] == 2.0f * signed_scale[i / 16] * (q[i] - 4));
    }
    for (int j = 0; j < 16; ++j) signed_scale[j] = static_cast<int8_t>(next(256) - 128);
    {
      BlockQ6_K b;
      fill(64);
      BlockFormat<DType::q6_k>::pack(b, two, signed_scale, q);
      decode<DType::q6_k>(b, out);
      for (int i = 0; i < 256; ++i) REQUIRE(out[i] == 2.0f * signed_scale[i / 16] * (q[i] - 32));
    }
  }
}
