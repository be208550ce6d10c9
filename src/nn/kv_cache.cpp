// Memory of the key-value pages.
#include "nn/kv_cache.h"

#include <cstring>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {
namespace {

/// Zeroes the slots from n_used on in a copy of a K or V page.
void clear_slots(std::byte* page, const KvPageLayout& at, const KvFormat& f, int32_t n_used) {
  std::byte* const scales = page + kPageTokens * f.n_kv_heads * f.head_dim * at.value_bytes;
  const int32_t run = at.scale_run > 0 ? at.scale_run : f.head_dim;
  for (int32_t head = 0; head < f.n_kv_heads; ++head)
    for (int32_t slot = n_used; slot < kPageTokens; ++slot)
      for (int32_t d = 0; d < f.head_dim; ++d) {
        std::memset(page + at.index(f.head_dim, head, slot, d) * at.value_bytes, 0, static_cast<size_t>(at.value_bytes));
        if (at.scale_bytes > 0 && d % run == 0)
          std::memset(scales + at.scale_index(f.head_dim, head, slot, d) * at.scale_bytes, 0,
                      static_cast<size_t>(at.scale_bytes));
      }
}

}  // namespace

DType kv_dtype(const std::string& name, const char* flag, int32_t head_dim) {
  const auto dtype = dtype_from_text(name);
  if (!dtype || (*dtype != DType::f32 && *dtype != DType::f16 && *dtype != DType::i16 && *dtype != DType::q8_0))
    fail(ErrorCode::argument, "{}: '{}' is no type of the KV cache; there are f32, f16, i16 and q8_0", flag, printable(name));
  if (!kv_holds(*dtype, head_dim))
    fail(ErrorCode::argument, "{}: {}, the model's heads have {} dimensions; use f16", flag,
         *dtype == DType::q8_0 ? "q8_0 has blocks of 32" : "i16 takes heads of an even size up to 512", head_dim);
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
    clear_slots(to, KvPageLayout(format_.k, true), format_, n_used);
    to += k_bytes;
    std::memcpy(to, layer.v + static_cast<uint64_t>(page) * v_bytes, v_bytes);
    clear_slots(to, KvPageLayout(format_.v, false), format_, n_used);
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
