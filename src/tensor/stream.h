// The backend contract: a Device holds weights and KV pages, a Stream runs operations on them now, in order.
// Pure virtual = primitive, every backend has it. Others are fused and have default bodies made of primitives, so a new
// backend is right before it is fast. The numerical meaning of each operation is in docs/numerics.md; reference/ is its text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/workspace.h"

namespace phial {

/// Values that change with every step; they lie in the device's memory, no kernel takes a position as an argument.
struct StepInputs {
  int32_t n_tokens = 0;  // of all sequences of the step; each sequence's tokens lie together, in order
  int32_t n_sequences = 0;
  int32_t n_outputs = 0;                 // tokens whose logits are wanted
  int32_t max_pages = 0;                 // row length of page_table
  const int32_t* token_ids = nullptr;    // [n_tokens]
  const int32_t* positions = nullptr;    // [n_tokens]
  const int32_t* sequence_of = nullptr;  // [n_tokens] row of page_table
  const int32_t* rope_set = nullptr;     // [n_sequences] 0 = short factors, 1 = long factors
  const int32_t* page_table = nullptr;   // [n_sequences, max_pages] page ids
  const int32_t* output_rows = nullptr;  // [n_outputs] indices into the step's tokens
};

/// KV pages of one layer. A page holds kPageTokens tokens of one sequence; the layout inside is kv_layout.h's.
struct KvLayer {
  std::byte* k = nullptr;  // [n_pages][page bytes]
  std::byte* v = nullptr;
  DType k_dtype = DType::f16;  // f32, f16, i16 or q8_0
  DType v_dtype = DType::f16;
  int32_t n_pages = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
};

struct AttentionParams {
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  float scale = 1;     // scores are multiplied by it
  int32_t window = 0;  // 0 = all; else a token sees itself and the window - 1 tokens before it
  float softcap = 0;   // 0 = none
};

enum class RopeKind { neox, interleaved };  // pairs (i, i + n_rot/2), or (2i, 2i + 1)

/// Where a weight's bytes come from. One weight may be stacked from several tensors (rows one after another).
struct WeightSource {
  std::string name;
  DType dtype = DType::f32;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
  /// Fills `out` with whole rows [begin_row, begin_row + n) in the GGUF layout of dtype; called from several threads.
  std::function<void(int64_t begin_row, int64_t n, std::span<std::byte> out)> read_rows;
  /// The same rows in a memory map, or nullptr; a device in low-memory mode may keep pointers into it.
  std::function<const std::byte*(int64_t begin_row)> mapped_rows;
};

enum class WeightUse { matrix, table, vector };  // multiplied; rows looked up; element-wise f32

class Stream;
class PlanStream;  // plan_stream.h

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string name() const = 0;         // "CPU", "CUDA0"
  virtual std::string description() const = 0;  // "AVX-512 VNNI, 2 threads"
  virtual Weight load(const WeightSource& source, WeightUse use) = 0;
  /// Bytes a weight will take, without loading it.
  virtual uint64_t weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const = 0;
  /// Memory for loading that the process keeps afterwards, for all weights together.
  virtual uint64_t loading_bytes() const { return 0; }
  /// Zeroed, 64-byte aligned memory of the device; throws NOMEM.
  virtual std::shared_ptr<std::byte> allocate(uint64_t n_bytes) = 0;
  virtual std::unique_ptr<Stream> open_stream(Workspace& workspace) = 0;
  /// A stream that computes nothing and counts what open_stream's would take; default: a bound that holds for any backend.
  virtual std::unique_ptr<PlanStream> open_plan_stream(Workspace& workspace) const;
};

/// One ordered queue. Shapes are checked in ops/ (the front door); here they are trusted.
class Stream {
 public:
  explicit Stream(Workspace& workspace) : workspace_(workspace) {}
  virtual ~Stream() = default;
  Workspace& workspace() { return workspace_; }

  /// out [n, n_cols] = rows ids[i] of the table.
  virtual void get_rows(Tensor out, const Weight& table, const int32_t* ids) = 0;
  /// out [n, c] = x rows rows[i].
  virtual void gather(Tensor out, Tensor x, const int32_t* rows) = 0;
  /// Over each run of weight.n_cols values along a row (a row may hold several heads). out may be x.
  virtual void rms_norm(Tensor out, Tensor x, const Weight& weight, float eps) = 0;
  /// out [n, w.n_rows] = x [n, w.n_cols] w^T (+ bias [w.n_rows]). out does not overlap x.
  virtual void linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) = 0;
  /// out = a + b; out may be either.
  virtual void add(Tensor out, Tensor a, Tensor b) = 0;
  /// out = silu(gate) * up; out may be gate.
  virtual void swiglu(Tensor out, Tensor gate, Tensor up) = 0;
  /// Rotates each head of x [n, n_heads * head_dim] in place; cos_sin [n, n_rot]: n_rot/2 cosines, then n_rot/2 sines.
  virtual void rope(Tensor x, int32_t head_dim, RopeKind kind, Tensor cos_sin) = 0;
  /// Writes k, v [n_tokens, n_kv_heads * head_dim] to the pages of the step's tokens.
  virtual void kv_store(const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) = 0;
  /// out, q [n_tokens, n_heads * head_dim]. Causal: a token sees positions <= its own, of its sequence.
  virtual void attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) = 0;

  // Fused; the default bodies are made of the primitives and define the numbers.
  virtual void norm_linear(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias);
  /// residual += x w^T (+ bias)
  virtual void linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias);
  /// out [n, F] = silu(g) * u with (g | u) = rms_norm(x) w^T, w [2F, n_cols]: gate rows first, then up rows.
  virtual void norm_linear_swiglu(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up);
  /// rope on q and k, then kv_store, then attention.
  virtual void rope_attention(Tensor out, Tensor q, Tensor k, Tensor v, RopeKind kind, Tensor cos_sin, const KvLayer& kv,
                              const AttentionParams& params, const StepInputs& step);

  virtual void synchronize() {}

 private:
  Workspace& workspace_;
};

}  // namespace phial
