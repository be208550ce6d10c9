// Packing: a transposition of dwords between 16 rows.
#include "backends/cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/cpu/weight_storage.h"
#include "base/checked.h"
#include "base/system_memory.h"

namespace phial::cpu {
namespace {

/// Bit i = 4 j + b to bit 8 b + j: byte b then holds value 4 j + b of a 32-value block at bit j.
uint32_t bits_by_byte(uint32_t bits) {
  uint32_t out = 0;
  for (int b = 0; b < 4; ++b)
    for (int j = 0; j < 8; ++j) out |= (bits >> (4 * j + b) & 1u) << (8 * b + j);
  return out;
}

}  // namespace

PanelLayout::PanelLayout(const LinearFormat& format, int64_t n_rows, int64_t n_cols)
    : n_blocks(n_cols / format_info(format.dtype).block_values),
      n_panels((n_rows + kPanelRows - 1) / kPanelRows),
      half_bytes(format.pack.half_offset < 0 ? 0 : (n_blocks * kPanelRows * 2 + 63) / 64 * 64),
      panel_bytes(half_bytes + n_blocks * format.pack.n_lines * 64) {}

void pack_panel(const LinearFormat& format, const PanelLayout& layout, const std::byte* const rows[kPanelRows], std::byte* out) {
  const PackLayout& pack = format.pack;
  const int64_t block_bytes = format_info(format.dtype).block_bytes;
  auto* halves = reinterpret_cast<uint16_t*>(out);
  auto* lines = reinterpret_cast<uint32_t*>(out + layout.half_bytes);
  for (int r = 0; r < kPanelRows; ++r) {
    for (int64_t b = 0; b < layout.n_blocks; ++b) {
      uint32_t* to = lines + b * pack.n_lines * kPanelRows + r;
      if (rows[r] == nullptr) {
        if (pack.half_offset >= 0) halves[b * kPanelRows + r] = 0;
        for (int i = 0; i < pack.n_lines; ++i) to[i * kPanelRows] = 0;
        continue;
      }
      const std::byte* block = rows[r] + b * block_bytes;
      if (pack.half_offset >= 0) std::memcpy(&halves[b * kPanelRows + r], block + pack.half_offset, 2);
      for (int i = 0; i < pack.n_lines; ++i) {
        uint32_t dword;
        std::memcpy(&dword, block + pack.dword_offset + i * 4, 4);
        dword ^= pack.flip;
        to[i * kPanelRows] = i == pack.bits_line ? bits_by_byte(dword) : dword;
      }
    }
  }
}

constexpr uint64_t kProbedBytes = 4u << 20;  // for smaller matrices asking costs more than it can save

PackedMatrix::PackedMatrix(const LinearFormat& format, const WeightSource& source, ThreadPool& pool, bool huge_pages,
                           bool low_memory)
    : format_(format),
      layout_(format, source.n_rows, source.n_cols),
      n_rows_(source.n_rows),
      row_bytes_(static_cast<int64_t>(row_bytes(source.dtype, static_cast<uint64_t>(source.n_cols)))) {
  if (low_memory && source.mapped_rows) {
    mapped_rows_ = source.mapped_rows;
    return;
  }
  const uint64_t n_bytes =
      (CheckedSize(static_cast<uint64_t>(layout_.panel_bytes)) * static_cast<uint64_t>(layout_.n_panels)).value();
  // Huge pages make decoding up to a fifth faster; where they are slow to get, a quick start is worth more.
  memory_ = allocate_pages(n_bytes, huge_pages && (n_bytes < kProbedBytes || huge_pages_are_quick()));
  // Each thread reads a few panels' rows into its own small buffer and packs them from cache.
  const int64_t panel_source = std::max<int64_t>(1, row_bytes_ * kPanelRows);
  const int64_t piece = std::clamp<int64_t>(kPackPieceBytes / panel_source, 1, 64);
  std::vector<std::vector<std::byte>> buffers(static_cast<size_t>(pool.size()));
  pool.parallel_for(layout_.n_panels, piece, [&](int64_t begin, int64_t end, int worker) {
    const int64_t first = begin * kPanelRows, n = std::min(end * kPanelRows, n_rows_) - first;
    std::vector<std::byte>& buffer = buffers[static_cast<size_t>(worker)];
    buffer.resize(static_cast<size_t>(piece * panel_source));
    source.read_rows(first, n, {buffer.data(), static_cast<size_t>(n * row_bytes_)});
    for (int64_t p = begin; p < end; ++p) {
      const std::byte* rows[kPanelRows];
      for (int r = 0; r < kPanelRows; ++r) {
        const int64_t row = p * kPanelRows + r - first;
        rows[r] = row < n ? buffer.data() + row * row_bytes_ : nullptr;
      }
      pack_panel(format_, layout_, rows, memory_.get() + p * layout_.panel_bytes);
    }
  });
}

const std::byte* PackedMatrix::panel(int64_t i, std::byte* scratch) const {
  if (memory_) return memory_.get() + i * layout_.panel_bytes;
  const std::byte* rows[kPanelRows];
  for (int r = 0; r < kPanelRows; ++r) rows[r] = i * kPanelRows + r < n_rows_ ? mapped_rows_(i * kPanelRows + r) : nullptr;
  pack_panel(format_, layout_, rows, scratch);
  return scratch;
}

}  // namespace phial::cpu
