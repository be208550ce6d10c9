// Memory of the key-value pages.
#include "nn/kv_cache.h"

#include <cstring>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {
namespace {

using IndexFn = int64_t (*)(int32_t head_dim, int32_t head, int32_t slot, int32_t d);

/// Zeroes the slots from n_used on in a copy of a K or V page.
void clear_slots(std::byte* page, DType dtype, const KvFormat& f, int32_t n_used, IndexFn index, IndexFn scale_index) {
  const bool blocks = dtype == DType::q8_0;
  const int64_t value_bytes = blocks ? 1 : dtype == DType::f32 ? 4 : 2;
  std::byte* const scales = page + static_cast<int64_t>(kPageTokens) * f.n_kv_heads * f.head_dim;
  for (int32_t head = 0; head < f.n_kv_heads; ++head)
    for (int32_t slot = n_used; slot < kPageTokens; ++slot)
      for (int32_t d = 0; d < f.head_dim; ++d) {
        std::memset(page + index(f.head_dim, head, slot, d) * value_bytes, 0, static_cast<size_t>(value_bytes));
        if (blocks && d % 32 == 0) std::memset(scales + scale_index(f.head_dim, head, slot, d) * 2, 0, 2);
      }
}

}  // namespace

DType kv_dtype(const std::string& name, const char* flag, int32_t head_dim) {
  const auto dtype = dtype_from_text(name);
  if (!dtype || (*dtype != DType::f32 && *dtype != DType::f16 && *dtype != DType::q8_0))
    fail(ErrorCode::argument, "{}: '{}' is no type of the KV cache; there are f32, f16 and q8_0", flag, printable(name));
  if (*dtype == DType::q8_0 && head_dim % 32 != 0)
    fail(ErrorCode::argument, "{}: q8_0 has blocks of 32, the model's heads have {} dimensions; use f16", flag, head_dim);
  return *dtype;
}

uint64_t kv_bytes_per_page(const KvFormat& f, int64_t n_layers) {
  return (CheckedSize(kv_page_bytes(f.k, f.n_kv_heads, f.head_dim) + kv_page_bytes(f.v, f.n_kv_heads, f.head_dim)) *
          static_cast<uint64_t>(n_layers))
      .value();
}

KvCache::KvCache(Device& device, const KvFormat& format, int64_t n_layers, int64_t n_pages) : format_(format) {
  const auto pages = static_cast<uint64_t>(n_pages);
  const uint64_t k_bytes = (CheckedSize(kv_page_bytes(format.k, format.n_kv_heads, format.head_dim)) * pages).value();
  const uint64_t v_bytes = (CheckedSize(kv_page_bytes(format.v, format.n_kv_heads, format.head_dim)) * pages).value();
  for (int64_t i = 0; i < n_layers; ++i) {
    std::shared_ptr<std::byte> k = device.allocate(k_bytes), v = device.allocate(v_bytes);
    layers_.push_back({k.get(), v.get(), format.k, format.v, static_cast<int32_t>(n_pages), format.n_kv_heads, format.head_dim});
    memory_.push_back(std::move(k));
    memory_.push_back(std::move(v));
    n_bytes_ += k_bytes + v_bytes;
  }
}

void KvCache::read_page(int32_t page, int32_t n_used, std::span<std::byte> out) const {
  PHIAL_CHECK(out.size() == page_bytes());
  std::byte* to = out.data();
  for (const KvLayer& layer : layers_) {
    PHIAL_CHECK(page >= 0 && page < layer.n_pages);
    const uint64_t k_bytes = kv_page_bytes(format_.k, format_.n_kv_heads, format_.head_dim);
    const uint64_t v_bytes = kv_page_bytes(format_.v, format_.n_kv_heads, format_.head_dim);
    std::memcpy(to, layer.k + static_cast<uint64_t>(page) * k_bytes, k_bytes);
    clear_slots(to, format_.k, format_, n_used, k_index, k_scale_index);
    to += k_bytes;
    std::memcpy(to, layer.v + static_cast<uint64_t>(page) * v_bytes, v_bytes);
    clear_slots(to, format_.v, format_, n_used, v_index, v_scale_index);
    to += v_bytes;
  }
}

void KvCache::write_page(int32_t page, std::span<const std::byte> bytes) {
  PHIAL_CHECK(bytes.size() == page_bytes());
  const std::byte* from = bytes.data();
  for (const KvLayer& layer : layers_) {
    PHIAL_CHECK(page >= 0 && page < layer.n_pages);
    const uint64_t k_bytes = kv_page_bytes(format_.k, format_.n_kv_heads, format_.head_dim);
    const uint64_t v_bytes = kv_page_bytes(format_.v, format_.n_kv_heads, format_.head_dim);
    std::memcpy(layer.k + static_cast<uint64_t>(page) * k_bytes, from, k_bytes);
    from += k_bytes;
    std::memcpy(layer.v + static_cast<uint64_t>(page) * v_bytes, from, v_bytes);
    from += v_bytes;
  }
}

void KvCache::copy_page(int32_t from, int32_t to) {
  for (const KvLayer& layer : layers_) {
    PHIAL_CHECK(from >= 0 && from < layer.n_pages && to >= 0 && to < layer.n_pages);
    const auto copy = [&](std::byte* data, DType dtype) {
      const uint64_t n_bytes = kv_page_bytes(dtype, layer.n_kv_heads, layer.head_dim);
      std::memcpy(data + static_cast<uint64_t>(to) * n_bytes, data + static_cast<uint64_t>(from) * n_bytes, n_bytes);
    };
    copy(layer.k, layer.k_dtype);
    copy(layer.v, layer.v_dtype);
  }
}

}  // namespace phial
