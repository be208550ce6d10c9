// Tensor formats: the enum, the table and the one visitor, all expanded from formats.def.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace phial {

enum class DType : uint8_t {
#define X(name, text, id, values, bytes, group) name,
#include "tensor/formats.def"
#undef X
};

struct FormatInfo {
  std::string_view text;  // "Q4_K"
  uint32_t gguf_id;
  uint32_t block_values;  // values per block, along the fastest axis
  uint32_t block_bytes;
  uint32_t act_group;  // see formats.def
  bool is_quantized() const { return block_values > 1; }
};

const FormatInfo& format_info(DType dtype);
std::optional<DType> dtype_from_gguf(uint32_t id);
/// By name, any case: "q4_k", "Q4_K".
std::optional<DType> dtype_from_text(std::string_view text);
inline constexpr DType kAllDTypes[] = {
#define X(name, text, id, values, bytes, group) DType::name,
#include "tensor/formats.def"
#undef X
};

template <DType D>
struct DTypeTag {
  static constexpr DType value = D;
};

/// The one switch over formats: calls f(DTypeTag<D>{}).
template <typename F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
#define X(name, text, id, values, bytes, group) \
  case DType::name:                             \
    return f(DTypeTag<DType::name>{});
#include "tensor/formats.def"
#undef X
  }
  return f(DTypeTag<DType::f32>{});
}

/// Bytes of one row of n values; n must be a multiple of block_values.
inline uint64_t row_bytes(DType dtype, uint64_t n) {
  const FormatInfo& f = format_info(dtype);
  return n / f.block_values * f.block_bytes;
}

}  // namespace phial
