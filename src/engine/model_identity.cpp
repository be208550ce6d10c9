// XXH3-128 of pieces of 4 MiB, then of their hashes: the same for any number of threads.
#include "engine/model_identity.h"

#include <xxhash.h>

#include <algorithm>

namespace phial {
namespace {

constexpr uint64_t kPiece = 4u << 20;

ModelIdentity hash_of(const void* data, size_t n) {
  const XXH128_hash_t h = XXH3_128bits(data, n);
  return {h.low64, h.high64};
}

}  // namespace

ModelIdentity identify_model(const std::vector<std::shared_ptr<InputFile>>& files, const std::vector<std::string>& override_kv,
                             ThreadPool& pool) {
  std::vector<ModelIdentity> hashes;
  for (const auto& file : files) {
    const size_t first = hashes.size();
    const uint64_t n_pieces = (file->size() + kPiece - 1) / kPiece;
    hashes.push_back({file->size(), n_pieces});
    hashes.resize(hashes.size() + n_pieces);
    std::vector<std::vector<std::byte>> buffers(static_cast<size_t>(pool.size()));
    pool.parallel_for(static_cast<int64_t>(n_pieces), 1, [&](int64_t i, int64_t, int worker) {
      std::vector<std::byte>& buffer = buffers[static_cast<size_t>(worker)];
      const uint64_t offset = static_cast<uint64_t>(i) * kPiece;
      buffer.resize(std::min(kPiece, file->size() - offset));
      file->read_at(offset, buffer);
      hashes[first + 1 + static_cast<size_t>(i)] = hash_of(buffer.data(), buffer.size());
    });
  }
  for (const std::string& text : override_kv) hashes.push_back(hash_of(text.data(), text.size()));
  return hash_of(hashes.data(), hashes.size() * sizeof(ModelIdentity));
}

}  // namespace phial
