// A matrix as the product kernels read it: panels of 16 rows (linear_kernels.h), or, in low-memory mode, the rows in the
// file's map, packed panel by panel when they are used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "backends/cpu/linear_kernels.h"
#include "base/thread_pool.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace phial::cpu {

/// Sizes of the packed form of a matrix.
struct PanelLayout {
  PanelLayout(const LinearFormat& format, int64_t n_rows, int64_t n_cols);

  int64_t n_blocks;  // in a row
  int64_t n_panels;
  int64_t half_bytes;   // head of a panel: the blocks' separate f16, 16 rows side by side
  int64_t panel_bytes;  // head and lines
};

inline constexpr int64_t kPackPieceBytes = 512 << 10;  // read and packed at once by one thread

class PackedMatrix : public WeightStorage {
 public:
  PackedMatrix(const LinearFormat& format, const WeightSource& source, ThreadPool& pool, bool huge_pages, bool low_memory);

  uint64_t n_bytes() const override { return memory_ ? static_cast<uint64_t>(layout_.panel_bytes * layout_.n_panels) : 0; }
  const LinearFormat& format() const { return format_; }
  const PanelLayout& layout() const { return layout_; }
  bool is_packed() const { return memory_ != nullptr; }
  /// The packed panel; `scratch` [panel_bytes] is used when it must be packed first.
  const std::byte* panel(int64_t i, std::byte* scratch) const;

 private:
  const LinearFormat& format_;
  PanelLayout layout_;
  int64_t n_rows_, row_bytes_;
  std::shared_ptr<std::byte> memory_;
  std::function<const std::byte*(int64_t)> mapped_rows_;
};

inline constexpr int64_t kMaxLinearTokens = 512;  // whose sums are kept at once

/// Scratch memory of one product: the activations (once, or for each thread when they are at most two tiles), and for each thread
/// its sums, its unpacked panels, when the matrix is not packed room to pack, and when rows are normalized a tile of them.
struct LinearScratchLayout {
  LinearScratchLayout(const LinearFormat& packed_format, const PanelLayout& layout, bool is_packed, bool normalizes,
                      int64_t n_cols, int64_t n_tokens, int n_threads);

  const LinearFormat& format;  // for so many tokens
  bool own_act;                // each thread has the activations for itself
  bool from_packed;            // panels are multiplied without unpacking
  ActLayout act_layout;
  int64_t run_blocks;   // of rows, multiplied chunk by chunk together, at most
  int64_t tile_tokens;  // at most, of one record
  int64_t n_slots;      // tokens that there is room for
  int64_t n_chunks, chunk_stride, act_bytes;
  int64_t block_sums;  // f32 of one block of rows
  int64_t sum_bytes, panel_bytes, packed_bytes, norm_bytes, thread_bytes, total_bytes;
};

/// Whole rows are normalized inside the product, not each head.
inline bool fuses_norm(const Tensor& x, const Weight& norm) { return norm.n_cols == x.n_cols; }
/// SwiGLU inside the product takes a gate panel and its up panel: neither may hold rows of the other.
inline bool fuses_swiglu(const Tensor& out, const Tensor& x, const Weight& norm) {
  return fuses_norm(x, norm) && out.n_cols % kPanelRows == 0;
}

/// Packs 16 rows (fewer at the end of a matrix: nullptr, which count as zeros) into one panel.
void pack_panel(const LinearFormat& format, const PanelLayout& layout, const std::byte* const rows[kPanelRows], std::byte* out);

}  // namespace phial::cpu
