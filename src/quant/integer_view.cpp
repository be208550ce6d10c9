// The table of integer views, made from the block formats' own files.
#include "quant/integer_view.h"

#include "quant/block_formats.h"

namespace phial {
namespace {

template <DType D>
constexpr IntegerFormat make_view() {
  if constexpr (format_has_blocks<D>) {
    using Format = BlockFormat<D>;
    constexpr int offset = [] {
      if constexpr (requires { Format::kOffset; }) return Format::kOffset;
      return 0;
    }();
    return {kBlockValues<Format>,     Format::kSub,      -offset, Format::kLevels - 1 - offset,
            has_min(Format::kFamily), unpack_integers<D>};
  } else {
    return {};
  }
}

template <DType D>
constexpr IntegerFormat kView = make_view<D>();

}  // namespace

const IntegerFormat& integer_format(DType dtype) {
  return visit_dtype(dtype, [](auto tag) -> const IntegerFormat& { return kView<decltype(tag)::value>; });
}

}  // namespace phial
