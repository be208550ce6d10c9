// The encoders: equal bits on every instruction set and however rows are grouped, no NaN from any finite input, and errors
// at most those of the reference quantizer on the same rows.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quant/codec.h"
#include "quant/encode.h"

using namespace phial;

namespace {

constexpr DType kBlockFormats[] = {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0,
                                   DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k};

/// Uniform in [0, 1): a linear congruential generator, so that the numbers below can be made anywhere.
struct Uniform {
  uint32_t state = 12345;
  float operator()() { return static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f; }
};

std::vector<float> bell_rows(int64_t n) {
  Uniform u;
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) {
    float sum = 0;
    for (int i = 0; i < 6; ++i) sum += u() - 0.5f;
    v = sum * 0.02f;
  }
  return x;
}

std::vector<float> skewed_importance(int64_t n) {
  Uniform u;
  u.state = 777;
  std::vector<float> w(static_cast<size_t>(n));
  for (float& v : w) {
    const float a = u();
    v = a * a * a * 5.0f + 0.001f;
  }
  return w;
}

std::vector<std::byte> encode(DType d, const std::vector<float>& x, int64_t row, const float* importance) {
  const auto n_rows = static_cast<int64_t>(x.size()) / row;
  std::vector<std::byte> out(static_cast<size_t>(n_rows) * row_bytes(d, static_cast<uint64_t>(row)));
  quantize_rows(x.data(), n_rows, row, d, importance, out.data());
  return out;
}

std::vector<float> decode(DType d, const std::vector<std::byte>& bytes, size_t n) {
  std::vector<float> y(n);
  codec(d).decode(bytes.data(), y.data(), static_cast<int64_t>(n));
  return y;
}

/// Sum of w (y - x)^2 over the sum of w x^2.
double relative_error(const std::vector<float>& x, const std::vector<float>& y, const std::vector<float>& w) {
  double error = 0, power = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double weight = w[i % w.size()], difference = static_cast<double>(y[i]) - x[i];
    error += weight * difference * difference;
    power += weight * x[i] * x[i];
  }
  return error / power;
}

}  // namespace

TEST_CASE("every instruction set gives the same bytes, with and without importance") {
  const int64_t row = 768;
  std::vector<float> x = bell_rows(row * 7);
  for (size_t i = 0; i < 256; ++i) x[i] = 0.0123f;                // a block of equal values
  for (size_t i = 256; i < 512; ++i) x[i] = 0;                    // of zeros
  for (size_t i = 512; i < 768; ++i) x[i] *= 1e-38f;              // of subnormal numbers
  for (size_t i = 768; i < 1024; ++i) x[i] = std::abs(x[i]) + 5;  // with no value near zero
  for (size_t i = 1024; i < 1280; ++i) x[i] = -std::abs(x[i]) - 5;
  const std::vector<float> w = skewed_importance(row);
  for (DType d : kBlockFormats)
    for (const float* importance : {static_cast<const float*>(nullptr), w.data()}) {
      CAPTURE(format_info(d).text);
      std::vector<std::byte> first;
      for (const EncodeKernels& k : encode_kernels()) {
        if (!k.usable()) continue;
        CAPTURE(k.name);
        std::vector<std::byte> bytes(7 * row_bytes(d, row));
        k.encode(d, x.data(), 7, row, importance, bytes.data());
        if (first.empty()) first = bytes;
        CHECK(bytes == first);
      }
      // Row by row, as the codec does it.
      for (size_t r = 0; r < 7; ++r) {
        std::vector<std::byte> one(row_bytes(d, row));
        codec(d).encode(x.data() + r * row, one.data(), row, importance);
        CHECK(std::memcmp(one.data(), first.data() + r * one.size(), one.size()) == 0);
      }
    }
}

TEST_CASE("errors are at most those of the reference quantizer on the same rows") {
  // Relative squared errors of the reference (ggml 0.25) on bell_rows(64 * 1024) with rows of 1024.
  struct Bound {
    DType dtype;
    double plain, weighted;
  };
  constexpr Bound kReference[] = {
#include "fixtures/quant_reference_errors.inc"
  };
  const int64_t row = 1024;
  const std::vector<float> x = bell_rows(64 * row), w = skewed_importance(row), ones(1, 1.0f);
  for (const Bound& b : kReference) {
    CAPTURE(format_info(b.dtype).text);
    CHECK(relative_error(x, decode(b.dtype, encode(b.dtype, x, row, nullptr), x.size()), ones) <= b.plain);
    CHECK(relative_error(x, decode(b.dtype, encode(b.dtype, x, row, w.data()), x.size()), w) <= b.weighted);
  }
}

TEST_CASE("importance moves the error to the columns that matter less") {
  const int64_t row = 1024;
  const std::vector<float> x = bell_rows(16 * row), w = skewed_importance(row);
  for (DType d : kBlockFormats) {
    if (d == DType::q8_0) continue;  // nearly nothing to move
    CAPTURE(format_info(d).text);
    const double plain = relative_error(x, decode(d, encode(d, x, row, nullptr), x.size()), w);
    const double weighted = relative_error(x, decode(d, encode(d, x, row, w.data()), x.size()), w);
    CHECK(weighted < plain);
  }
}

TEST_CASE("any finite row gives finite values, and near ones") {
  const float largest = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  const auto fill = [](auto f) {
    std::vector<float> x(512);
    for (size_t i = 0; i < x.size(); ++i) x[i] = f(i);
    return x;
  };
  struct Case {
    const char* name;
    std::vector<float> x;
    bool in_range;  // of what f16 scales can hold
  };
  const std::vector<Case> cases{
      {"zeros", fill([](size_t) { return 0.0f; }), true},
      {"negative zeros", fill([](size_t) { return -0.0f; }), true},
      {"equal", fill([](size_t) { return -0.7f; }), true},
      {"nearly equal", fill([](size_t i) { return i % 2 ? 1.0f : std::nextafter(1.0f, 2.0f); }), true},
      {"subnormal", fill([=](size_t i) { return tiny * static_cast<float>(i % 7); }), false},
      {"largest", fill([=](size_t i) { return i % 2 ? largest : -largest; }), false},
      {"one largest", fill([=](size_t i) { return i == 100 ? largest : 1e-3f; }), false},
      {"one spike", fill([](size_t i) { return i % 256 == 9 ? 100.0f : 1e-4f * static_cast<float>(i % 3); }), false},
      {"wide range", fill([](size_t i) { return std::ldexp(i % 2 ? 1.0f : -1.0f, static_cast<int>(i % 200) - 100); }), false},
      {"offset", fill([](size_t i) { return 1000.0f + static_cast<float>(i % 5); }), true},
  };
  std::vector<std::vector<float>> importances{{},
                                              std::vector<float>(512, 0.0f),
                                              std::vector<float>(512, 1e-30f),
                                              fill([](size_t i) { return i % 32 == 3 ? 1e30f : 0.0f; })};
  for (const Case& c : cases)
    for (const auto& importance : importances)
      for (DType d : kBlockFormats) {
        CAPTURE(c.name);
        CAPTURE(format_info(d).text);
        const auto bytes = encode(d, c.x, 512, importance.empty() ? nullptr : importance.data());
        CHECK(codec(d).find_non_finite(bytes.data(), 512) == -1);
        const std::vector<float> y = decode(d, bytes, 512);
        float worst = 0, reach = 0;
        for (size_t i = 0; i < y.size(); ++i) {
          if (!std::isfinite(y[i])) FAIL("value " << i << " is not finite");
          worst = std::max(worst, std::abs(y[i] - c.x[i]));
          reach = std::max(reach, std::abs(c.x[i]));
        }
        if (c.in_range && importance.empty()) CHECK(worst <= 0.03f * reach);
      }
}
