// Matrix products with block formats: docs/numerics.md, "quantized weights". Integer sums of an activation group are exact;
// only the fma per group rounds.
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
  QuantizedRow row{std::vector<int8_t>(n), std::vector<float>(n / group)};
  for (int64_t g = 0; g < n / group; ++g) row.scale[g] = quantize_group(x + g * group, group, &row.q[g * group]);
  return row;
}

float dot(const std::vector<IntegerBlock>& blocks, const IntegerFormat& format, const QuantizedRow& x, int64_t group) {
  float acc = 0;
  const int sub = format.sub_block_values;
  for (int64_t k0 = 0; k0 < static_cast<int64_t>(x.q.size()); k0 += group) {
    const IntegerBlock& b = blocks[k0 / format.block_values];
    int32_t sum = 0, min_sum = 0;
    for (int64_t k = k0; k < k0 + group; ++k) {
      const int64_t in_block = k % format.block_values;
      sum += b.scale[in_block / sub] * b.q[in_block] * x.q[k];
      min_sum += b.min[in_block / sub] * x.q[k];
    }
    const float s = x.scale[k0 / group];
    acc = std::fma(static_cast<float>(sum), b.d * s, acc);
    if (format.has_min) acc = std::fma(static_cast<float>(min_sum), b.m * s, acc);
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
