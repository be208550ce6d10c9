// Which type each tensor of a model gets: llama.cpp's mixes, as of August 2026, over names, shapes and head counts alone.
// (In that vintage attn_qkv follows the rule of attn_v; older trees gave Q4_K_M's attn_qkv Q5_K on every layer.)
// Used by quantize and by convert, which quantizes on the way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/metadata.h"
#include "tensor/dtype.h"

namespace phial {

enum class Mix : uint8_t {
#define X(name, ftype, base, what) name,
#include "quant/mixes.def"
#undef X
};

struct MixRow {
  std::string_view name;
  int ftype;
  DType base;
  std::string_view what;
};
const MixRow& mix_row(Mix mix);
/// By name in any case ("Q4_K" = "Q4_K_M"), or by number. Throws ARGUMENT with the list of names.
Mix parse_mix(std::string_view text);
/// A tensor type that can be written, by name in any case. Throws ARGUMENT. `what` names the option for the message.
DType parse_tensor_type(std::string_view text, std::string_view what);

struct RecipeOptions {
  bool copy = false;  // keep every tensor as it is
  Mix mix = Mix::Q4_K_M;
  bool pure = false;
  bool leave_output_tensor = false;
  bool has_importance = false;
  std::string output_tensor_type, token_embedding_type;           // "" = by the mix
  std::vector<std::pair<std::string, std::string>> tensor_types;  // regex on the name, type: the first match counts
};

struct RecipeTensor {
  std::string name;
  std::vector<int64_t> shape;  // slowest axis first
  DType dtype;                 // of the source; kept where the recipe leaves a tensor alone
};

struct TensorChoice {
  DType dtype;                    // what to write
  DType wanted;                   // before the shape of the tensor made another type necessary
  bool quantizable = false;       // a weight that mixes apply to; others are copied
  bool needs_importance = false;  // refused without an importance matrix: the result would be garbage
  bool is_fallback() const { return dtype != wanted; }
};

/// Decides for all tensors of one model at once: some rules count tensors. One choice per tensor, in the given order.
std::vector<TensorChoice> choose_types(const RecipeOptions& options, const Metadata& metadata,
                                       const std::vector<RecipeTensor>& tensors);

/// Sets general.quantization_version and general.file_type.
void describe_mix(Mix mix, Metadata& metadata);

}  // namespace phial
