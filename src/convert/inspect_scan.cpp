// Scans and comparisons, a tensor per worker at a time, in pieces of whole blocks.
#include "convert/inspect_scan.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "base/checked.h"
#include "base/fail.h"
#include "base/thread_pool.h"
#include "quant/codec.h"

namespace phial {
namespace {

constexpr uint64_t kPieceValues = 256 << 10;  // a multiple of every block

using HashState = std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)>;

uint64_t bytes_of(const TensorEntry& tensor, uint64_t n_values) { return row_bytes(tensor.dtype, n_values); }

/// Reads past the tensor's type: bytes are bytes for a hash, and for foreign types of the same element size.
void read_piece(const TensorFile& file, const TensorEntry& tensor, uint64_t begin, std::span<std::byte> out) {
  file.files()[static_cast<size_t>(tensor.file)]->read_at((CheckedSize(tensor.offset) + begin).value(), out);
}

/// Adds the bad blocks of a piece that begins at block `base`.
void count_bad(const Codec& c, const FormatInfo& format, std::span<const std::byte> piece, uint64_t base, TensorScan& scan) {
  uint64_t at = 0;
  const uint64_t n_blocks = piece.size() / format.block_bytes;
  while (at < n_blocks) {
    const int64_t bad =
        c.find_non_finite(piece.data() + at * format.block_bytes, static_cast<int64_t>((n_blocks - at) * format.block_values));
    if (bad < 0) return;
    at += static_cast<uint64_t>(bad);
    if (scan.n_bad++ == 0) scan.first_bad = base + at;
    ++at;
  }
}

TensorScan scan_one(const TensorFile& file, const TensorEntry& tensor, bool check, bool hash, std::vector<std::byte>& buffer) {
  TensorScan scan;
  const FormatInfo& format = format_info(tensor.dtype);
  const Codec& c = codec(tensor.dtype);
  HashState state(hash ? XXH64_createState() : nullptr, XXH64_freeState);
  if (hash) {
    if (!state) fail(ErrorCode::no_memory, "no memory for a hash");
    XXH64_reset(state.get(), 0);
  }
  const uint64_t piece_bytes = bytes_of(tensor, kPieceValues);
  for (uint64_t begin = 0; begin < tensor.n_bytes; begin += piece_bytes) {
    buffer.resize(static_cast<size_t>(std::min(piece_bytes, tensor.n_bytes - begin)));
    read_piece(file, tensor, begin, buffer);
    if (hash) XXH64_update(state.get(), buffer.data(), buffer.size());
    if (check && !tensor.foreign_type) count_bad(c, format, buffer, begin / format.block_bytes, scan);
  }
  if (hash) scan.hash = XXH64_digest(state.get());
  return scan;
}

struct CompareBuffers {
  std::vector<std::byte> bytes_a, bytes_b;
  std::vector<float> values_a, values_b;
};

TensorDifference compare_one(const TensorFile& file_a, const TensorFile& file_b, const TensorPair& pair,
                             CompareBuffers& buffers) {
  const TensorEntry &a = *pair.a, &b = *pair.b;
  TensorDifference d;
  d.identical = a.dtype == b.dtype;
  double sum_difference = 0, sum_a = 0;
  const uint64_t n_values = a.n_values();
  buffers.values_a.resize(kPieceValues);
  buffers.values_b.resize(kPieceValues);
  for (uint64_t begin = 0; begin < n_values; begin += kPieceValues) {
    const uint64_t n = std::min(kPieceValues, n_values - begin);
    buffers.bytes_a.resize(static_cast<size_t>(bytes_of(a, n)));
    buffers.bytes_b.resize(static_cast<size_t>(bytes_of(b, n)));
    read_piece(file_a, a, bytes_of(a, begin), buffers.bytes_a);
    read_piece(file_b, b, bytes_of(b, begin), buffers.bytes_b);
    const bool same_bytes = a.dtype == b.dtype && buffers.bytes_a == buffers.bytes_b;
    d.identical = d.identical && same_bytes;
    codec(a.dtype).decode(buffers.bytes_a.data(), buffers.values_a.data(), static_cast<int64_t>(n));
    if (same_bytes) {
      for (uint64_t i = 0; i < n; ++i) sum_a += double(buffers.values_a[i]) * buffers.values_a[i];
      continue;
    }
    codec(b.dtype).decode(buffers.bytes_b.data(), buffers.values_b.data(), static_cast<int64_t>(n));
    for (uint64_t i = 0; i < n; ++i) {
      const double x = buffers.values_a[i], y = buffers.values_b[i];
      const double e = std::abs(x - y);
      d.n_different += x != y;
      d.max_abs = e > d.max_abs || std::isnan(e) ? e : d.max_abs;
      sum_difference += e * e;
      sum_a += x * x;
    }
  }
  if (n_values > 0) d.rmse = std::sqrt(sum_difference / static_cast<double>(n_values));
  if (sum_a > 0) d.relative = std::sqrt(sum_difference / sum_a);
  return d;
}

}  // namespace

std::vector<TensorScan> scan_tensors(const TensorFile& file, bool check, bool hash) {
  const auto& tensors = file.tensors();
  std::vector<TensorScan> scans(tensors.size());
  if (!check && !hash) return scans;
  ThreadPool pool;
  std::vector<std::vector<std::byte>> buffers(static_cast<size_t>(pool.size()));
  pool.parallel_for(static_cast<int64_t>(tensors.size()), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i)
      scans[static_cast<size_t>(i)] =
          scan_one(file, tensors[static_cast<size_t>(i)], check, hash, buffers[static_cast<size_t>(worker)]);
  });
  return scans;
}

std::vector<TensorDifference> compare_tensors(const TensorFile& a, const TensorFile& b, const std::vector<TensorPair>& pairs) {
  std::vector<TensorDifference> differences(pairs.size());
  ThreadPool pool;
  std::vector<CompareBuffers> buffers(static_cast<size_t>(pool.size()));
  pool.parallel_for(static_cast<int64_t>(pairs.size()), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i)
      differences[static_cast<size_t>(i)] =
          compare_one(a, b, pairs[static_cast<size_t>(i)], buffers[static_cast<size_t>(worker)]);
  });
  return differences;
}

}  // namespace phial
