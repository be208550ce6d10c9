// Matrix products with float weights: one fma chain per output, in order of k.
#include <cmath>

#include "backends/reference/reference_stream.h"
#include "quant/codec.h"

namespace phial {

void ReferenceStream::linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) {
  if (format_info(w.dtype).is_quantized()) {
    reference_linear_quant(out, x, w);
  } else {
    const ReferenceWeight& rows = ReferenceWeight::of(w);
    std::vector<float> row(w.n_cols);
    for (int64_t r = 0; r < w.n_rows; ++r) {
      codec(w.dtype).decode(rows.row(w, r), row.data(), w.n_cols);
      for (int64_t t = 0; t < x.n_rows; ++t) {
        const float* in = x.row(t);
        float acc = 0;
        for (int64_t k = 0; k < w.n_cols; ++k) acc = std::fma(row[k], in[k], acc);
        out.row(t)[r] = acc;
      }
    }
  }
  if (!bias) return;
  const float* b = ReferenceWeight::of(bias).values();
  for (int64_t t = 0; t < out.n_rows; ++t)
    for (int64_t r = 0; r < out.n_cols; ++r) out.row(t)[r] += b[r];
}

}  // namespace phial
