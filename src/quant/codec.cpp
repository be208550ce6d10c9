// The table of codecs: plain number formats here, block formats from their own files.
#include "quant/codec.h"

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "quant/block_formats.h"
#include "quant/encode.h"

namespace phial {
namespace {

template <typename T>
T load(const std::byte* in, int64_t i) {
  T value;
  std::memcpy(&value, in + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* out, int64_t i, T value) {
  std::memcpy(out + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

template <typename T, typename ToF32>
Codec plain(ToF32) {
  Codec c;
  c.decode = [](const std::byte* in, float* out, int64_t n) {
    for (int64_t i = 0; i < n; ++i) out[i] = ToF32()(load<T>(in, i));
  };
  c.find_non_finite = [](const std::byte* in, int64_t n) -> int64_t {
    for (int64_t i = 0; i < n; ++i)
      if (!std::isfinite(ToF32()(load<T>(in, i)))) return i;
    return -1;
  };
  return c;
}

/// f64 beyond the range of f32 becomes an infinity: the cast would be undefined.
float f64_to_f32(double v) {
  constexpr double kLimit = 0x1.ffffffp127;  // halfway between the largest f32 and 2^128
  if (v >= kLimit) return HUGE_VALF;
  if (v <= -kLimit) return -HUGE_VALF;
  return static_cast<float>(v);
}

template <DType D>
void decode_blocks(const std::byte* in, float* out, int64_t n) {
  using Format = BlockFormat<D>;
  constexpr int values = kBlockValues<Format>, sub = Format::kSub;
  IntegerBlock b;
  for (int64_t i = 0; i < n / values; ++i, in += sizeof(typename Format::Block)) {
    unpack_integers<D>(in, b);
    for (int j = 0; j < values / sub; ++j, out += sub) {
      const float step = is_super(Format::kFamily) ? b.d * static_cast<float>(b.scale[j]) : b.d;
      const float base = is_super(Format::kFamily) ? b.m * static_cast<float>(b.min[j]) : b.m;
      for (int k = 0; k < sub; ++k) {
        out[k] = step * static_cast<float>(b.q[j * sub + k]);
        if constexpr (has_min(Format::kFamily)) out[k] += base;
      }
    }
  }
}

template <DType D>
int64_t find_non_finite_block(const std::byte* in, int64_t n) {
  using Format = BlockFormat<D>;
  const int64_t n_blocks = n / format_info(D).block_values;
  for (int64_t i = 0; i < n_blocks; ++i)
    if (!Format::finite(load<typename Format::Block>(in, i))) return i;
  return -1;
}

template <DType D>
Codec make_codec() {
  if constexpr (D == DType::f32) {
    Codec c = plain<float>([](float v) { return v; });
    c.encode = [](const float* in, std::byte* out, int64_t n, const float*) {
      if (n > 0) std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
    };
    return c;
  } else if constexpr (D == DType::f16) {
    Codec c = plain<uint16_t>([](uint16_t v) { return f16_to_f32(v); });
    c.encode = [](const float* in, std::byte* out, int64_t n, const float*) {
      for (int64_t i = 0; i < n; ++i) store(out, i, f32_to_f16(in[i]));
    };
    return c;
  } else if constexpr (D == DType::bf16) {
    Codec c = plain<uint16_t>([](uint16_t v) { return bf16_to_f32(v); });
    c.encode = [](const float* in, std::byte* out, int64_t n, const float*) {
      for (int64_t i = 0; i < n; ++i) store(out, i, f32_to_bf16(in[i]));
    };
    return c;
  } else if constexpr (D == DType::i8) {
    return plain<int8_t>([](int8_t v) { return static_cast<float>(v); });
  } else if constexpr (D == DType::i16) {
    return plain<int16_t>([](int16_t v) { return static_cast<float>(v); });
  } else if constexpr (D == DType::i32) {
    return plain<int32_t>([](int32_t v) { return static_cast<float>(v); });
  } else if constexpr (D == DType::i64) {
    return plain<int64_t>([](int64_t v) { return static_cast<float>(v); });
  } else if constexpr (D == DType::f64) {
    return plain<double>([](double v) { return f64_to_f32(v); });
  } else {
    static_assert(std::is_trivially_copyable_v<typename BlockFormat<D>::Block>);
    Codec c;
    c.decode = decode_blocks<D>;
    c.find_non_finite = find_non_finite_block<D>;
    c.encode = [](const float* in, std::byte* out, int64_t n, const float* importance) {
      quantize_rows(in, 1, n, D, importance, out);
    };
    return c;
  }
}

}  // namespace

const Codec& codec(DType dtype) {
  static const auto table = [] {
    std::array<Codec, std::size(kAllDTypes)> t;
    for (DType d : kAllDTypes)
      t[static_cast<size_t>(d)] = visit_dtype(d, [](auto tag) { return make_codec<decltype(tag)::value>(); });
    return t;
  }();
  return table[static_cast<size_t>(dtype)];
}

}  // namespace phial
