// The block encoder as plain C++: four lanes, SSE2 or NEON by the compiler.
#include "quant/block_formats.h"
#include "quant/encode.h"

#define PHIAL_ENCODE_LANES 4

namespace phial {
namespace encode_generic {
#include "quant/encode.inl.h"
}

extern const EncodeKernels kGenericEncode{"generic", [] { return true; }, encode_generic::encode};

}  // namespace phial
