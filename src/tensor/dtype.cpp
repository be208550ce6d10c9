// The table of tensor formats.
#include "tensor/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace phial {
namespace {

constexpr std::array kTable{
#define X(name, text, id, values, bytes, group) FormatInfo{text, id, values, bytes, group},
#include "tensor/formats.def"
#undef X
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

const FormatInfo& format_info(DType dtype) { return kTable[static_cast<size_t>(dtype)]; }

std::optional<DType> dtype_from_gguf(uint32_t id) {
  for (DType d : kAllDTypes)
    if (format_info(d).gguf_id == id) return d;
  return std::nullopt;
}

std::optional<DType> dtype_from_text(std::string_view text) {
  for (DType d : kAllDTypes)
    if (equal_ignoring_case(format_info(d).text, text)) return d;
  return std::nullopt;
}

}  // namespace phial
