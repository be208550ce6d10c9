// The paged key-value cache: one array of pages per layer, one page id for all layers. The layout in a page is kv_layout.h's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tensor/kv_layout.h"
#include "tensor/stream.h"

namespace phial {

struct KvFormat {
  DType k = DType::f16;
  DType v = DType::f16;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
};

/// f32, f16, i16 or q8_0 by name; `flag` is named in the error (ARGUMENT).
DType kv_dtype(const std::string& name, const char* flag, int32_t head_dim);

/// Bytes of one page over all layers, K and V.
uint64_t kv_bytes_per_page(const KvFormat& format, int64_t n_layers);

/// Pages that hold n tokens.
constexpr int64_t pages_for(int64_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens; }

class KvCache {
 public:
  KvCache(Device& device, const KvFormat& format, int64_t n_layers, int64_t n_pages);

  std::span<const KvLayer> layers() const { return layers_; }
  uint64_t n_bytes() const { return n_bytes_; }
  const KvFormat& format() const { return format_; }

  /// Bytes of one page over all layers: for each layer its K page, then its V page.
  uint64_t page_bytes() const { return kv_bytes_per_page(format_, static_cast<int64_t>(layers_.size())); }
  /// Copies a page whose first n_used slots hold tokens; the others, which may hold an older text, are zeros in the copy.
  void read_page(int32_t page, int32_t n_used, std::span<std::byte> out) const;
  void write_page(int32_t page, std::span<const std::byte> bytes);
  /// All layers of one page over another.
  void copy_page(int32_t from, int32_t to);

 private:
  KvFormat format_;
  std::vector<std::shared_ptr<std::byte>> memory_;
  std::vector<KvLayer> layers_;
  uint64_t n_bytes_ = 0;
};

}  // namespace phial
