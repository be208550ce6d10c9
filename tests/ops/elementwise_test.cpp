// Norms, sums, gates, rotations, row look-ups: the reference against double, every instruction set against the reference.
#include <cmath>
#include <numeric>

#include "ops/numerics.h"
#include "ops/ops.h"
#include "ops/devices.h"

using namespace phial;
using namespace phial::test;

TEST_CASE("exp: within 1.5 ulp everywhere, exact at its edges") {
  double worst = 0;
  for (double x = -87.3; x < 88.3; x += 0.00173) {
    const float f = static_cast<float>(x);
    const double want = std::exp(static_cast<double>(f));
    const double ulp = std::ldexp(1.0, std::ilogb(want) - 23);
    worst = std::max(worst, std::abs(exp_f32(f) - want) / ulp);
  }
  CHECK(worst < 1.5);
  CHECK(exp_f32(0) == 1.0f);
  CHECK(exp_f32(-0.0f) == 1.0f);
  CHECK(exp_f32(-INFINITY) == 0.0f);
  CHECK(exp_f32(-1000) == 0.0f);
  CHECK(exp_f32(INFINITY) == INFINITY);
  CHECK(exp_f32(89) == INFINITY);
  CHECK(std::isnan(exp_f32(NAN)));
}

TEST_CASE("exp2 of what is not positive: within 2.2e-7, exact at its edges, never above 1") {
  double worst = 0;
  float most = 0;
  for (double x = -125; x <= 0; x += 0.00173) {
    const float f = static_cast<float>(x);
    worst = std::max(worst, std::abs(exp2_not_positive(f) / std::exp2(static_cast<double>(f)) - 1));
    most = std::max(most, exp2_not_positive(f));
  }
  CHECK(worst < 2.2e-7);
  CHECK(most <= 1.0f);
  CHECK(exp2_not_positive(0) == 1.0f);
  CHECK(exp2_not_positive(-1) == 0.5f);
  CHECK(exp2_not_positive(-125.5f) == 0.0f);
  CHECK(exp2_not_positive(-INFINITY) == 0.0f);
}

TEST_CASE("silu and tanh against double") {
  for (double x = -95; x < 95; x += 0.0371) {
    const float f = static_cast<float>(x);
    const double sigmoid = 1 / (1 + std::exp(-static_cast<double>(f)));
    CHECK(std::abs(silu_f32(f) - f * sigmoid) <= 4e-7 * std::abs(f * sigmoid) + 1e-36);
    CHECK(std::abs(tanh_f32(f) - std::tanh(static_cast<double>(f))) <= 2e-7);
  }
}

namespace {

struct Shape {
  int64_t n_rows, n_cols, stride;
};
const Shape kShapes[] = {{1, 1, 1},    {3, 3, 5},     {2, 16, 16},    {5, 17, 40},     {4, 31, 31},
                         {7, 96, 100}, {2, 100, 112}, {33, 256, 256}, {70, 1000, 1008}};

/// Runs `op` on the reference and on every CPU bench: the results must have the same bits and the guards must hold.
/// op(bench, out) fills `out`.
template <typename F>
std::vector<float> same_everywhere(const Shape& shape, const std::vector<float>& before, F&& op) {
  Guarded want(shape.n_rows, shape.n_cols, shape.stride, before);
  op(reference(), want.view());
  for (Bench* bench : cpu_benches()) {
    Guarded got(shape.n_rows, shape.n_cols, shape.stride, before);
    op(*bench, got.view());
    INFO(bench->label << ", rows " << shape.n_rows << ", columns " << shape.n_cols);
    CHECK(equal_bits(got.values(), want.values()));
    CHECK(got.guards_hold());
  }
  return want.values();
}

}  // namespace

TEST_CASE("rms_norm") {
  for (const Shape& shape : kShapes) {
    const auto x = normal_values(shape.n_rows * shape.n_cols, 1), w = normal_values(shape.n_cols, 2);
    const auto got = same_everywhere(shape, {}, [&](Bench& b, Tensor out) {
      Guarded in(shape.n_rows, shape.n_cols, shape.n_cols + 3, x);
      rms_norm(*b.stream, out, in.view(), b.vector(w), 1e-5f);
    });
    const auto in_place =
        same_everywhere(shape, x, [&](Bench& b, Tensor out) { rms_norm(*b.stream, out, out, b.vector(w), 1e-5f); });
    CHECK(equal_bits(got, in_place));

    std::vector<double> want;
    for (int64_t r = 0; r < shape.n_rows; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < shape.n_cols; ++i) squares += std::pow(x[r * shape.n_cols + i], 2.0);
      for (int64_t i = 0; i < shape.n_cols; ++i)
        want.push_back(x[r * shape.n_cols + i] / std::sqrt(squares / shape.n_cols + 1e-5) * w[i]);
    }
    CHECK(nmse(got, want) < 1e-12);
  }
}

TEST_CASE("rms_norm over each head of a row") {
  const int64_t head_dim = 20, n_heads = 3;
  const auto x = normal_values(4 * n_heads * head_dim, 3), w = normal_values(head_dim, 4);
  const auto whole = same_everywhere({4, n_heads * head_dim, 64}, x,
                                     [&](Bench& b, Tensor out) { rms_norm(*b.stream, out, out, b.vector(w), 1e-6f); });
  const auto heads = same_everywhere({4 * n_heads, head_dim, head_dim}, x,
                                     [&](Bench& b, Tensor out) { rms_norm(*b.stream, out, out, b.vector(w), 1e-6f); });
  CHECK(equal_bits(whole, heads));
}

TEST_CASE("add and swiglu, also onto an operand") {
  for (const Shape& shape : kShapes) {
    const auto a = normal_values(shape.n_rows * shape.n_cols, 5, 4), b = normal_values(shape.n_rows * shape.n_cols, 6);
    std::vector<double> sum, gated;
    for (size_t i = 0; i < a.size(); ++i) {
      sum.push_back(static_cast<double>(a[i]) + b[i]);
      gated.push_back(a[i] / (1 + std::exp(-static_cast<double>(a[i]))) * b[i]);
    }
    auto other = [&] { return Guarded(shape.n_rows, shape.n_cols, shape.n_cols + 1, b); };
    auto first = [&] { return Guarded(shape.n_rows, shape.n_cols, shape.n_cols, a); };
    const auto added = same_everywhere(shape, {}, [&](Bench& d, Tensor out) {
      auto x = first(), y = other();
      add(*d.stream, out, x.view(), y.view());
    });
    const auto onto = same_everywhere(shape, a, [&](Bench& d, Tensor out) {
      auto y = other();
      add(*d.stream, out, out, y.view());
    });
    CHECK(equal_bits(added, onto));
    CHECK(nmse(added, sum) < 1e-13);
    const auto swished = same_everywhere(shape, {}, [&](Bench& d, Tensor out) {
      auto x = first(), y = other();
      swiglu(*d.stream, out, x.view(), y.view());
    });
    const auto swished_onto = same_everywhere(shape, a, [&](Bench& d, Tensor out) {
      auto y = other();
      swiglu(*d.stream, out, out, y.view());
    });
    CHECK(equal_bits(swished, swished_onto));
    CHECK(nmse(swished, gated) < 1e-12);
  }
}

TEST_CASE("swiglu of extreme gates") {
  const std::vector<float> gate{-INFINITY, -1e30f, -200,  -88.5f, -87.4f, -1e-30f, -0.0f,
                                0,         1e-30f, 87.4f, 88.5f,  1e30f,  INFINITY};
  const std::vector<float> up(gate.size(), 1.0f);
  const Shape shape{1, static_cast<int64_t>(gate.size()), 16};
  const auto got = same_everywhere(shape, {}, [&](Bench& d, Tensor out) {
    Guarded g(1, shape.n_cols, 16, gate), u(1, shape.n_cols, 16, up);
    swiglu(*d.stream, out, g.view(), u.view());
  });
  CHECK(got[1] == 0.0f);
  CHECK(got[2] == 0.0f);
  CHECK(got[7] == 0.0f);
  CHECK(got[10] == 88.5f);
  CHECK(got[12] == INFINITY);
}

TEST_CASE("rope: both kinds, partial rotation, many heads") {
  struct Case {
    int32_t head_dim, n_rot;
    int64_t n_heads, n_tokens;
  };
  for (const Case& c : {Case{2, 2, 1, 1}, {96, 96, 3, 5}, {128, 96, 2, 4}, {80, 32, 5, 40}, {20, 6, 2, 3}, {64, 34, 2, 2}}) {
    for (const RopeKind kind : {RopeKind::neox, RopeKind::interleaved}) {
      const int64_t n = c.n_heads * c.head_dim;
      const auto x = normal_values(c.n_tokens * n, 7);
      std::vector<float> table;
      for (int64_t t = 0; t < c.n_tokens; ++t) {
        for (int part = 0; part < 2; ++part)
          for (int i = 0; i < c.n_rot / 2; ++i) {
            const double angle = (t + 11) * std::pow(10000.0, -2.0 * i / c.n_rot);
            table.push_back(static_cast<float>(part == 0 ? std::cos(angle) : std::sin(angle)));
          }
      }
      const auto got = same_everywhere({c.n_tokens, n, n + 8}, x, [&](Bench& b, Tensor out) {
        Guarded cos_sin(c.n_tokens, c.n_rot, c.n_rot + 5, table);
        rope(*b.stream, out, c.head_dim, kind, cos_sin.view());
      });
      std::vector<double> want(x.begin(), x.end());
      for (int64_t t = 0; t < c.n_tokens; ++t) {
        for (int64_t h = 0; h < c.n_heads; ++h) {
          for (int i = 0; i < c.n_rot / 2; ++i) {
            const int64_t head = t * n + h * c.head_dim;
            const int64_t a = head + (kind == RopeKind::neox ? i : 2 * i),
                          b = head + (kind == RopeKind::neox ? i + c.n_rot / 2 : 2 * i + 1);
            const double cosine = table[t * c.n_rot + i], sine = table[t * c.n_rot + c.n_rot / 2 + i];
            want[a] = x[a] * cosine - x[b] * sine;
            want[b] = x[b] * cosine + x[a] * sine;
          }
        }
      }
      CHECK(nmse(got, want) < 1e-13);
    }
  }
}

TEST_CASE("get_rows of every format, and gather") {
  const int64_t n_cols = 512, n_rows = 9;
  const std::vector<int32_t> ids{3, 0, 8, 3, 7};
  const auto values = normal_values(n_rows * n_cols, 8);
  for (const DType dtype : kAllDTypes) {
    if (!codec(dtype).encode) continue;
    CAPTURE(format_info(dtype).text);
    std::vector<std::byte> bytes(n_rows * row_bytes(dtype, n_cols));
    codec(dtype).encode(values.data(), bytes.data(), n_rows * n_cols, nullptr);
    const auto got = same_everywhere({5, n_cols, n_cols + 2}, {}, [&](Bench& b, Tensor out) {
      get_rows(*b.stream, out, b.weight(bytes, dtype, n_rows, n_cols, WeightUse::table), ids.data());
    });
    std::vector<float> want(5 * n_cols);
    for (int i = 0; i < 5; ++i) codec(dtype).decode(bytes.data() + ids[i] * row_bytes(dtype, n_cols), &want[i * n_cols], n_cols);
    CHECK(equal_bits(got, want));
  }
  const auto got = same_everywhere({5, 17, 20}, {}, [&](Bench& b, Tensor out) {
    Guarded x(9, 17, 18, {values.begin(), values.begin() + 9 * 17});
    gather(*b.stream, out, x.view(), ids.data());
  });
  for (int i = 0; i < 5 * 17; ++i) CHECK(got[i] == values[ids[i / 17] * 17 + i % 17]);
}

TEST_CASE("wrong shapes throw, naming the operation") {
  Bench& b = reference();
  Guarded x(2, 8, 8), y(2, 6, 6), z(3, 8, 8);
  const Weight norm = b.vector({1, 1, 1});
  CHECK_THROWS_WITH_AS(rms_norm(*b.stream, x.view(), x.view(), norm, 1e-5f), doctest::Contains("rms_norm: columns of x"), Error);
  CHECK_THROWS_WITH_AS(add(*b.stream, x.view(), x.view(), y.view()),
                       doctest::Contains("add: shapes differ (operands: [2, 8], [2, 8], [2, 6])"), Error);
  CHECK_THROWS_AS(swiglu(*b.stream, x.view(), z.view(), x.view()), Error);
  CHECK_THROWS_AS(linear(*b.stream, x.view(), x.view(), norm), Error);
  CHECK_THROWS_AS(rope(*b.stream, x.view(), 3, RopeKind::neox, y.view()), Error);
}
