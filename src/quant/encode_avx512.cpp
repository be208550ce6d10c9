// The block encoder as AVX-512 code.
#include "base/cpu_info.h"
#include "quant/block_formats.h"
#include "quant/encode.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there.
#pragma GCC target("avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")

#define PHIAL_ENCODE_LANES 16
// The masked forms with all lanes on: GCC 12 warns of its own headers otherwise.
#define PHIAL_ENCODE_MIN(a, b) _mm512_maskz_min_ps(0xFFFF, a, b)
#define PHIAL_ENCODE_MAX(a, b) _mm512_maskz_max_ps(0xFFFF, a, b)
#define PHIAL_ENCODE_ROUND(a) _mm512_maskz_roundscale_ps(0xFFFF, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

namespace phial {
namespace encode_avx512 {
#include "quant/encode.inl.h"
}

extern const EncodeKernels kAvx512Encode{"avx512", [] { return cpu_info().avx512; }, encode_avx512::encode};

}  // namespace phial
#endif
