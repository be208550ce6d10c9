// Matrix products with block formats: docs/numerics.md, "quantized weights". Integer sums of an activation group are exact;
// only the fmas per block and group round.
#include <algorithm>
#include <cmath>

#include "backends/reference/reference_stream.h"
#include "ops/numerics.h"
#include "quant/integer_view.h"

namespace phial {
namespace {

/// A row of x as int8 groups.
struct QuantizedRow {
  std::vector<int8_t> q;
  std::vector<float> scale;  // one per group
};

QuantizedRow quantize_row(const float* x, int64_t n, int64_t group) {
  QuantizedRow row{std::vector<int8_t>(n), {}};
  const auto quantize = group > kShortGroup ? quantize_long_group : quantize_group;
  for (int64_t k = 0; k < n; k += group) row.scale.push_back(quantize(x + k, std::min(group, n - k), &row.q[k]));
  return row;
}

/// fma's of one block's part [k0, k1) of a row onto t.
float add_block(const IntegerBlock& b, const IntegerFormat& format, const QuantizedRow& x, int64_t k0, int64_t k1, float t) {
  int32_t sum = 0, min_sum = 0;
  for (int64_t k = k0; k < k1; ++k) {
    const int64_t in_block = k % format.block_values, sub_block = in_block / format.sub_block_values;
    sum += b.scale[sub_block] * b.q[in_block] * x.q[k];
    min_sum += b.min[sub_block] * x.q[k];
  }
  t = std::fma(static_cast<float>(sum), b.d, t);
  return format.has_min ? std::fma(static_cast<float>(min_sum), b.m, t) : t;
}

float dot(const std::vector<IntegerBlock>& blocks, const IntegerFormat& format, const QuantizedRow& x, int64_t group) {
  const int64_t n = static_cast<int64_t>(x.q.size()), part = std::min<int64_t>(group, format.block_values);
  float acc = 0;
  for (int64_t k0 = 0; k0 < n; k0 += group) {
    float t = 0;
    for (int64_t k = k0; k < std::min(k0 + group, n); k += part)
      t = add_block(blocks[k / format.block_values], format, x, k, k + part, t);
    acc = std::fma(t, x.scale[k0 / group], acc);
  }
  return acc;
}

}  // namespace

void reference_linear_quant(Tensor out, Tensor x, const Weight& w) {
  const FormatInfo& info = format_info(w.dtype);
  const IntegerFormat& format = integer_format(w.dtype);
  std::vector<QuantizedRow> tokens;
  for (int64_t t = 0; t < x.n_rows; ++t) tokens.push_back(quantize_row(x.row(t), x.n_cols, info.act_group));

  std::vector<IntegerBlock> blocks(w.n_cols / format.block_values);
  for (int64_t r = 0; r < w.n_rows; ++r) {
    const std::byte* bytes = ReferenceWeight::of(w).row(w, r);
    for (size_t b = 0; b < blocks.size(); ++b) format.unpack(bytes + b * info.block_bytes, blocks[b]);
    for (int64_t t = 0; t < x.n_rows; ++t) out.row(t)[r] = dot(blocks, format, tokens[t], info.act_group);
  }
}

}  // namespace phial
