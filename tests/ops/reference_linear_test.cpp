// The reference's matrix products against double: float weights as they are; block formats against their decoded weights
// and the int8 activations. The integer views of the blocks against the float decode.
#include <algorithm>
#include <cmath>

#include "ops/devices.h"
#include "ops/numerics.h"
#include "ops/ops.h"
#include "quant/integer_view.h"

using namespace phial;
using namespace phial::test;

namespace {

std::vector<std::byte> encoded(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(row_bytes(dtype, values.size()));
  codec(dtype).encode(values.data(), bytes.data(), static_cast<int64_t>(values.size()), nullptr);
  return bytes;
}

std::vector<float> decoded(DType dtype, const std::vector<std::byte>& bytes, int64_t n) {
  std::vector<float> values(n);
  codec(dtype).decode(bytes.data(), values.data(), n);
  return values;
}

}  // namespace

TEST_CASE("integer views hold the values of the float decode") {
  for (const DType dtype : kAllDTypes) {
    const IntegerFormat& format = integer_format(dtype);
    CAPTURE(format_info(dtype).text);
    CHECK((format.block_values > 0) == format_info(dtype).is_quantized());
    if (format.block_values == 0) continue;
    const int64_t n = 40 * 256;
    const auto bytes = encoded(dtype, normal_values(n, 41, 3));
    const auto values = decoded(dtype, bytes, n);
    int lowest = 127, highest = -128;
    for (int64_t k = 0; k < n; ++k) {
      static IntegerBlock block;
      const int64_t in_block = k % format.block_values;
      if (in_block == 0) format.unpack(bytes.data() + k / format.block_values * format_info(dtype).block_bytes, block);
      const int sub_block = static_cast<int>(in_block / format.sub_block_values);
      const double want = static_cast<double>(block.d) * block.scale[sub_block] * block.q[in_block] +
                          static_cast<double>(block.m) * block.min[sub_block];
      REQUIRE(std::abs(values[k] - want) <=
              1e-6 * (std::abs(block.d * block.scale[sub_block] * block.q[in_block]) + std::abs(block.m * block.min[sub_block])));
      lowest = std::min<int>(lowest, block.q[in_block]);
      highest = std::max<int>(highest, block.q[in_block]);
    }
    CHECK(lowest >= format.q_min);
    CHECK(highest <= format.q_max);
    CHECK(highest - lowest > (format.q_max - format.q_min) / 2);
  }
}

TEST_CASE("activations: int8 groups within half a step, zeros for groups without a scale") {
  for (const float size : {0.0f, 1e-38f, 1e-31f, 1e-29f, 1e-3f, 1.0f, 1e30f}) {
    CAPTURE(size);
    auto x = normal_values(32, 42);
    for (float& v : x) v *= size;
    int8_t q[32];
    const float s = quantize_group(x.data(), 32, q);
    int largest = 0;
    for (int i = 0; i < 32; ++i) {
      largest = std::max(largest, std::abs(q[i]));
      if (size >= 1e-29f) CHECK(std::abs(x[i] - static_cast<double>(q[i]) * s) <= 0.5001 * s);
    }
    CHECK(largest == (size >= 1e-29f ? 127 : 0));
  }
}

TEST_CASE("activations: long groups use all of int8, the largest value at -128") {
  for (const float sign : {1.0f, -1.0f})
    for (const float other : {0.2f, 0.98f, 0.995f, 1.0f}) {  // of the largest, on the other side
      CAPTURE(sign);
      CAPTURE(other);
      auto x = normal_values(256, 42);
      for (float& v : x) v = std::clamp(v, -0.15f, 0.15f);
      x[7] = 3 * sign, x[100] = -3 * sign * other;
      int8_t q[256];
      const float s = quantize_long_group(x.data(), 256, q);
      // Of two that are as large the positive one counts.
      const bool first = other < 1 || sign > 0;
      CHECK(q[first ? 7 : 100] == -128);
      CHECK(q[first ? 100 : 7] == (other < 0.5f ? 26 : other < 0.99f ? 126 : 127));
      CHECK(std::signbit(s) == (first ? sign > 0 : sign < 0));
      for (int i = 0; i < 256; ++i)
        if (i != 7 && i != 100) CHECK(std::abs(x[i] - static_cast<double>(q[i]) * s) <= 0.5001 * std::abs(s));
    }
  int8_t q[40];
  const std::vector<float> nothing(40, 1e-31f);
  quantize_long_group(nothing.data(), 40, q);
  CHECK(std::all_of(q, q + 40, [](int8_t v) { return v == 0; }));
}

TEST_CASE("reference linear against double") {
  for (const DType dtype : kAllDTypes) {
    const FormatInfo& info = format_info(dtype);
    if (!info.is_quantized() && dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) continue;
    CAPTURE(info.text);
    const int64_t n_rows = 7, n_cols = info.is_quantized() ? 3 * info.block_values : 100, n_tokens = 5;
    const auto bytes = encoded(dtype, normal_values(n_rows * n_cols, 43));
    const auto w = decoded(dtype, bytes, n_rows * n_cols);
    const auto x = normal_values(n_tokens * n_cols, 44), bias = normal_values(n_rows, 45);

    Bench& b = reference();
    Guarded in(n_tokens, n_cols, n_cols + 1, x), out(n_tokens, n_rows, n_rows + 2);
    linear(*b.stream, out.view(), in.view(), b.weight(bytes, dtype, n_rows, n_cols, WeightUse::matrix), b.vector(bias));
    CHECK(out.guards_hold());

    std::vector<double> seen(x.begin(), x.end());  // the activations as the product sees them
    if (const int64_t group = info.act_group) {
      for (int64_t t = 0; t < n_tokens; ++t) {
        for (int64_t k0 = 0; k0 < n_cols; k0 += group) {
          std::vector<int8_t> q(group);
          const int64_t n = std::min(group, n_cols - k0);
          const float s = (group > kShortGroup ? quantize_long_group : quantize_group)(&x[t * n_cols + k0], n, q.data());
          for (int64_t i = 0; i < n; ++i) seen[t * n_cols + k0 + i] = static_cast<double>(q[i]) * s;
        }
      }
    }
    std::vector<double> want;
    for (int64_t t = 0; t < n_tokens; ++t) {
      for (int64_t r = 0; r < n_rows; ++r) {
        double sum = bias[r];
        for (int64_t k = 0; k < n_cols; ++k) sum += w[r * n_cols + k] * seen[t * n_cols + k];
        want.push_back(sum);
      }
    }
    CHECK(nmse(out.values(), want) < 1e-12);
  }
}

TEST_CASE("fused operations are their parts, on every device") {
  const int64_t n_tokens = 6, n_cols = 256, n_ff = 64;
  const auto x = normal_values(n_tokens * n_cols, 46), norm = normal_values(n_cols, 47), bias = normal_values(2 * n_ff, 48);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_k, DType::q6_k}) {
    CAPTURE(format_info(dtype).text);
    const auto gate_up = encoded(dtype, normal_values(2 * n_ff * n_cols, 49)),
               down = encoded(dtype, normal_values(n_ff * n_cols, 50));
    auto parts = [&](Bench& b, bool fused) {
      const Weight w = b.weight(gate_up, dtype, 2 * n_ff, n_cols, WeightUse::matrix), g = b.vector(norm),
                   add_bias = b.vector(bias);
      const Weight square = b.weight(down, dtype, n_ff, n_cols, WeightUse::matrix);
      Guarded in(n_tokens, n_cols, n_cols, x), h(n_tokens, n_cols, n_cols), wide(n_tokens, 2 * n_ff, 2 * n_ff),
          gated(n_tokens, n_ff, n_ff + 3);
      Guarded residual(n_tokens, n_ff, n_ff + 1, std::vector<float>(n_tokens * n_ff, 0.5f)), y(n_tokens, n_ff, n_ff);
      if (fused) {
        norm_linear(*b.stream, wide.view(), in.view(), g, 1e-5f, w, add_bias);
        norm_linear_swiglu(*b.stream, gated.view(), in.view(), g, 1e-5f, w);
        linear_add(*b.stream, residual.view(), in.view(), square);
      } else {
        rms_norm(*b.stream, h.view(), in.view(), g, 1e-5f);
        linear(*b.stream, wide.view(), h.view(), w);
        swiglu(*b.stream, gated.view(), wide.view().columns(0, n_ff), wide.view().columns(n_ff, n_ff));
        linear(*b.stream, wide.view(), h.view(), w, add_bias);
        linear(*b.stream, y.view(), in.view(), square);
        add(*b.stream, residual.view(), residual.view(), y.view());
      }
      CHECK((gated.guards_hold() && residual.guards_hold()));
      auto all = wide.values();
      for (Guarded* part : {&gated, &residual}) {
        const auto v = part->values();
        all.insert(all.end(), v.begin(), v.end());
      }
      return all;
    };
    const auto want = parts(reference(), false);
    CHECK(equal_bits(parts(reference(), true), want));
    for (Bench* bench : cpu_benches()) {
      INFO(bench->label);
      // Where activations are rounded too the parts have bits of their own (matrix product tests).
      const auto has = [&](const char* isa) { return bench->label.find(isa) != std::string::npos; };
      const bool rounds =
          (dtype == DType::f16 && has("amx_fp16")) || (dtype == DType::bf16 && (has("amx") || has("avx512_bf16")));
      const auto apart = parts(*bench, false);
      if (!rounds) CHECK(equal_bits(apart, want));
      CHECK(equal_bits(parts(*bench, true), apart));
    }
  }
}
