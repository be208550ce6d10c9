// Memory of the key-value pages.
#include "nn/kv_cache.h"

#include "base/checked.h"
#include "base/fail.h"

namespace phial {

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

KvCache::KvCache(Device& device, const KvFormat& format, int64_t n_layers, int64_t n_pages) {
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

}  // namespace phial
