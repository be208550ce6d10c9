// The reference backend: every operation of tensor/stream.h as plain loops. It is docs/numerics.md in code, meant to be
// read; it knows no threads, no instruction sets and no layouts but GGUF's.
#pragma once

#include <vector>

#include "tensor/stream.h"

namespace phial {

/// Matrices and tables keep their GGUF rows; vectors are widened to f32.
class ReferenceWeight : public WeightStorage {
 public:
  explicit ReferenceWeight(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  uint64_t n_bytes() const override { return bytes_.size(); }

  const std::byte* row(const Weight& w, int64_t i) const { return bytes_.data() + i * row_bytes(w.dtype, w.n_cols); }
  const float* values() const { return reinterpret_cast<const float*>(bytes_.data()); }

  static const ReferenceWeight& of(const Weight& w) { return static_cast<const ReferenceWeight&>(*w.storage); }

 private:
  std::vector<std::byte> bytes_;
};

class ReferenceStream final : public Stream {
 public:
  using Stream::Stream;

  void get_rows(Tensor out, const Weight& table, const int32_t* ids) override;
  void gather(Tensor out, Tensor x, const int32_t* rows) override;
  void rms_norm(Tensor out, Tensor x, const Weight& weight, float eps) override;
  void linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) override;
  void add(Tensor out, Tensor a, Tensor b) override;
  void swiglu(Tensor out, Tensor gate, Tensor up) override;
  void rope(Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) override;
  void kv_store(const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) override;
  void attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) override;
};

/// The product for block formats: int8 activations, exact integer group sums (linear_quant.cpp).
void reference_linear_quant(Tensor out, Tensor x, const Weight& w);

}  // namespace phial
