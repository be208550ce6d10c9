// Choosing the encoder for this processor.
#include "quant/encode.h"

#include "quant/codec.h"

namespace phial {

extern const EncodeKernels kGenericEncode;
#if defined(__x86_64__)
extern const EncodeKernels kAvx2Encode, kAvx512Encode;
#endif

std::span<const EncodeKernels> encode_kernels() {
  static const EncodeKernels table[] = {
#if defined(__x86_64__)
    kAvx512Encode,
    kAvx2Encode,
#endif
    kGenericEncode,
  };
  return table;
}

void quantize_rows(const float* rows, int64_t n_rows, int64_t row_length, DType dtype, const float* importance, std::byte* out) {
  if (!format_info(dtype).is_quantized()) return codec(dtype).encode(rows, out, n_rows * row_length, nullptr);
  static const EncodeKernels& best = []() -> const EncodeKernels& {
    for (const EncodeKernels& k : encode_kernels())
      if (k.usable()) return k;
    return encode_kernels().back();
  }();
  best.encode(dtype, rows, n_rows, row_length, importance, out);
}

}  // namespace phial
