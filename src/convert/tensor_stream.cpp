// Pieces of rows: read, permuted, decoded, checked, encoded.
#include "convert/tensor_stream.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>

#include "base/fail.h"
#include "quant/codec.h"
#include "quant/encode.h"

namespace phial {
namespace {

constexpr uint64_t kWindowBytes = 32u << 20;  // of output, twice
constexpr uint64_t kTaskBytes = 256u << 10;   // of source, per worker and turn
constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr uint32_t kF16OverflowBits = 0x477ff000;  // 65520: from here on a value rounds to infinity in F16

/// The largest |x| as bits: above kInfinityBits or equal = a value that is not finite.
uint32_t largest_magnitude_bits(const float* x, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest;
}

float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

/// The tensor as rows. A vector whose rows are permuted is a matrix of one column.
struct TensorStream::Rows {
  const SourceTensor& source;
  Transform transform;
  DType dtype;
  int64_t n_rows, n_cols;
  uint64_t bytes;  // of one row in the source
};

TensorStream::TensorStream(const SafetensorsFile& file, ThreadPool& pool, int64_t head_dim)
    : file_(file), pool_(pool), head_dim_(head_dim), scratch_(static_cast<size_t>(pool.size())) {}

void TensorStream::read_rows(const Rows& rows, int64_t begin, int64_t n, std::byte* out) const {
  if (!rows.source.entry) {
    std::memcpy(out, rows.source.values.data() + begin * rows.n_cols, static_cast<size_t>(n) * rows.bytes);
    return;
  }
  const TensorEntry& entry = *rows.source.entry;
  if (rows.transform == Transform::none) {
    file_.read(entry, static_cast<uint64_t>(begin) * rows.bytes, {out, static_cast<size_t>(n) * rows.bytes});
    return;
  }
  // Row 2 j + h of a head comes from its row h * head_dim / 2 + j: halves become neighbouring pairs.
  for (int64_t i = 0; i < n; ++i) {
    const int64_t head = (begin + i) / head_dim_, in_head = (begin + i) % head_dim_;
    const int64_t from = head * head_dim_ + (in_head % 2) * (head_dim_ / 2) + in_head / 2;
    file_.read(entry, static_cast<uint64_t>(from) * rows.bytes, {out + static_cast<uint64_t>(i) * rows.bytes, rows.bytes});
  }
}

bool TensorStream::encode_rows(const Rows& rows, DType dtype, int64_t begin, int64_t n, std::byte* out, Scratch& scratch) const {
  const int64_t n_values = n * rows.n_cols;
  if (dtype == rows.dtype) {
    read_rows(rows, begin, n, out);
    return codec(dtype).find_non_finite(out, n_values) >= 0;
  }
  scratch.raw.resize(static_cast<size_t>(n) * rows.bytes);
  scratch.values.resize(static_cast<size_t>(n_values));
  read_rows(rows, begin, n, scratch.raw.data());
  float* values = scratch.values.data();
  codec(rows.dtype).decode(scratch.raw.data(), values, n_values);

  const uint32_t largest = largest_magnitude_bits(values, n_values);
  const bool finite = largest < kInfinityBits;
  const FormatInfo& format = format_info(dtype);
  const std::string& name = rows.source.expected.hf;
  if (!finite && format.is_quantized())
    fail(ErrorCode::nan, "tensor {} holds NaN or infinite values near row {}, which {} cannot store; the checkpoint is damaged",
         name, begin, format.text);
  if (finite && largest >= kF16OverflowBits && dtype == DType::f16)
    fail(ErrorCode::argument, "tensor {} holds the value {:.6g}, too large for F16 (at most 65504): use --outtype bf16 or f32",
         name, float_of_bits(largest));
  quantize_rows(values, n, rows.n_cols, dtype, nullptr, out);
  // The scales of a block are F16: far beyond its range the encoder clips.
  if (finite && format.is_quantized() && largest >= kF16OverflowBits) {
    codec(dtype).decode(out, values, n_values);
    if (float_of_bits(largest_magnitude_bits(values, n_values)) < 0.5f * float_of_bits(largest))
      fail(ErrorCode::argument, "tensor {} holds values around {:.6g}, too large for {}: use --outtype bf16 or f32", name,
           float_of_bits(largest), format.text);
  }
  return !finite;
}

void TensorStream::copy(const SourceTensor& tensor, DType dtype, const std::function<void(std::span<const std::byte>)>& sink,
                        const std::function<void(uint64_t)>& after_piece) {
  const std::vector<int64_t>& shape = tensor.expected.shape;
  Rows rows{tensor, tensor.expected.spec->transform, tensor.dtype(), 1, shape.back(), 0};
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows.n_rows *= shape[i];
  if (shape.size() == 1 && rows.transform != Transform::none) std::swap(rows.n_rows, rows.n_cols);
  rows.bytes = row_bytes(rows.dtype, static_cast<uint64_t>(rows.n_cols));

  const uint64_t out_bytes = row_bytes(dtype, static_cast<uint64_t>(rows.n_cols));
  const auto per_window = static_cast<int64_t>(std::max<uint64_t>(1, kWindowBytes / std::max(out_bytes, rows.bytes)));
  const auto per_task = static_cast<int64_t>(std::max<uint64_t>(1, kTaskBytes / rows.bytes));
  std::atomic<bool> non_finite{false};
  std::future<void> writing;
  for (int64_t begin = 0, turn = 0; begin < rows.n_rows; begin += per_window, ++turn) {
    const int64_t n = std::min(per_window, rows.n_rows - begin);
    std::vector<std::byte>& window = windows_[turn % 2];
    window.resize(std::max(window.size(), static_cast<size_t>(n) * out_bytes));
    pool_.parallel_for(n, per_task, [&](int64_t from, int64_t to, int worker) {
      if (encode_rows(rows, dtype, begin + from, to - from, window.data() + static_cast<uint64_t>(from) * out_bytes,
                      scratch_[static_cast<size_t>(worker)]))
        non_finite = true;
    });
    if (writing.valid()) writing.get();
    const std::span<const std::byte> bytes(window.data(), static_cast<size_t>(n) * out_bytes);
    if (begin + n < rows.n_rows) {
      writing = std::async(std::launch::async, [&sink, bytes] { sink(bytes); });
    } else {
      sink(bytes);
    }
    after_piece(static_cast<uint64_t>(begin + n) * rows.bytes);
  }
  if (non_finite) non_finite_.push_back(tensor.expected.hf.empty() ? tensor.expected.gguf : tensor.expected.hf);
}

}  // namespace phial
