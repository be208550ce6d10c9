// f16 and bf16 conversions over all their bit patterns, against definitions by arithmetic.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "quant/half.h"

using namespace phial;

namespace {

/// The value of an f16 pattern by its definition.
double f16_value(uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 0x3FF;
  const double sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

}  // namespace

TEST_CASE("f16 to f32 is exact for all 65536 patterns and goes back to the same pattern") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const auto pattern = static_cast<uint16_t>(h);
    const double want = f16_value(pattern);
    const float got = f16_to_f32(pattern);
    if (std::isnan(want)) {
      REQUIRE(std::isnan(got));
      REQUIRE(std::signbit(got) == (h >= 0x8000));
      REQUIRE((f32_to_f16(got) & 0x7FFF) > 0x7C00);
    } else {
      REQUIRE(static_cast<double>(got) == want);
      REQUIRE(std::signbit(got) == (h >= 0x8000));
      REQUIRE(f32_to_f16(got) == pattern);
    }
  }
}

TEST_CASE("f32 to f16 rounds to nearest, ties to even, at every boundary between two f16 values") {
  for (uint32_t h = 0; h < 0x7C00; ++h) {
    const double low = f16_value(static_cast<uint16_t>(h));
    const double high = h == 0x7BFF ? 65536.0 : f16_value(static_cast<uint16_t>(h + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact in f32
    const auto even = static_cast<uint16_t>(h & 1 ? h + 1 : h);
    for (uint16_t sign : {0, 0x8000}) {
      const float s = sign ? -1.0f : 1.0f;
      REQUIRE(f32_to_f16(s * middle) == (sign | even));
      REQUIRE(f32_to_f16(s * std::nextafter(middle, 0.0f)) == (sign | h));
      REQUIRE(f32_to_f16(s * std::nextafter(middle, INFINITY)) == (sign | (h + 1)));
    }
  }
}

TEST_CASE("f32 to f16 beyond its range") {
  CHECK(f32_to_f16(1e30f) == 0x7C00);
  CHECK(f32_to_f16(-3.4e38f) == 0xFC00);
  CHECK(f32_to_f16(INFINITY) == 0x7C00);
  CHECK(f32_to_f16(1e-30f) == 0);
  CHECK(f32_to_f16(-1e-45f) == 0x8000);
  CHECK((f32_to_f16(std::bit_cast<float>(0x7F800001u)) & 0x7FFF) > 0x7C00);  // a signalling NaN stays a NaN
}

TEST_CASE("bf16 conversions") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const auto pattern = static_cast<uint16_t>(h);
    const float value = bf16_to_f32(pattern);
    if (std::isnan(value)) {
      REQUIRE(std::isnan(bf16_to_f32(f32_to_bf16(value))));
      continue;
    }
    REQUIRE(f32_to_bf16(value) == pattern);
    if ((h & 0x7FFF) >= 0x7F80) continue;  // infinities have no next value
    const uint32_t bits = h << 16;
    const auto even = static_cast<uint16_t>(h & 1 ? h + 1 : h);
    REQUIRE(f32_to_bf16(std::bit_cast<float>(bits | 0x8000)) == even);
    REQUIRE(f32_to_bf16(std::bit_cast<float>(bits | 0x7FFF)) == pattern);
    REQUIRE(f32_to_bf16(std::bit_cast<float>(bits | 0x8001)) == h + 1);
  }
}
