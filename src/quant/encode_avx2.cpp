// The block encoder as AVX2 code.
#include "base/cpu_info.h"
#include "quant/block_formats.h"
#include "quant/encode.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there.
#pragma GCC target("avx2,f16c")

#define PHIAL_ENCODE_LANES 8
#define PHIAL_ENCODE_MIN(a, b) _mm256_min_ps(a, b)
#define PHIAL_ENCODE_MAX(a, b) _mm256_max_ps(a, b)
#define PHIAL_ENCODE_ROUND(a) _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

namespace phial {
namespace encode_avx2 {
#include "quant/encode.inl.h"
}

extern const EncodeKernels kAvx2Encode{"avx2", [] { return cpu_info().avx2; }, encode_avx2::encode};

}  // namespace phial
#endif
