// Operations whose CPU kernels come with their own files; each moves out as its file arrives.
#include "backends/cpu/cpu_stream.h"
#include "base/fail.h"

namespace phial::cpu {

void CpuStream::get_rows(Tensor, const Weight&, const int32_t*) { fail(ErrorCode::unsupported, "get_rows"); }
void CpuStream::gather(Tensor, Tensor, const int32_t*) { fail(ErrorCode::unsupported, "gather"); }
void CpuStream::rms_norm(Tensor, Tensor, const Weight&, float) { fail(ErrorCode::unsupported, "rms_norm"); }
void CpuStream::add(Tensor, Tensor, Tensor) { fail(ErrorCode::unsupported, "add"); }
void CpuStream::swiglu(Tensor, Tensor, Tensor) { fail(ErrorCode::unsupported, "swiglu"); }
void CpuStream::rope(Tensor, int32_t, RopeKind, Tensor) { fail(ErrorCode::unsupported, "rope"); }
void CpuStream::kv_store(const KvLayer&, Tensor, Tensor, const StepInputs&) { fail(ErrorCode::unsupported, "kv_store"); }
void CpuStream::attention(Tensor, Tensor, const KvLayer&, const AttentionParams&, const StepInputs&) {
  fail(ErrorCode::unsupported, "attention");
}

}  // namespace phial::cpu
