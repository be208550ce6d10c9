// Matrix products: loading of matrices and the linear operations.
//
// One parallel region: the activations are quantized tile by tile (a single tile by every thread for itself, without a
// barrier), then threads take blocks of two panels (32 rows). For each chunk of k the block is unpacked into first-level
// cache and multiplied with all tokens, whose sums lie in second-level cache.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/cpu_device.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/packed_matrix.h"
#include "base/fail.h"

namespace phial::cpu {

namespace {

constexpr int64_t kAlign = 64;

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

const PackedMatrix& packed(const Weight& w) { return static_cast<const PackedMatrix&>(*w.storage); }

}  // namespace

LinearScratchLayout::LinearScratchLayout(const LinearFormat& format, const PanelLayout& layout, bool is_packed, int64_t n_cols,
                                         int64_t n_tokens, int n_threads)
    : own_act(n_tokens <= kTileTokens),
      from_packed(own_act && format.multiply_packed != nullptr),
      act_layout(from_packed ? format.packed_act : format.act),
      n_chunks((n_cols + format.act.chunk_k - 1) / format.act.chunk_k),
      chunk_stride(n_tokens * act_layout.token_bytes()),
      act_bytes(aligned(n_chunks * chunk_stride)),
      sum_bytes(aligned(n_tokens * kMaxPanels * kPanelRows * 4)),
      panel_bytes(kMaxPanels * aligned(format.panel_bytes)),
      packed_bytes(is_packed ? 0 : kMaxPanels * aligned(layout.panel_bytes)),
      thread_bytes(sum_bytes + panel_bytes + packed_bytes + (own_act ? act_bytes : 0) + 4096),
      total_bytes((own_act ? 0 : act_bytes) + thread_bytes * n_threads) {}

/// Memory of the linear operations, kept between them; grows to the largest product seen.
struct LinearScratch {
  std::shared_ptr<std::byte> memory;
  int64_t size = 0;
  bool huge_pages = true;

  std::byte* take(int64_t n_bytes) {
    if (n_bytes > size) {
      memory = allocate_pages(static_cast<uint64_t>(n_bytes), huge_pages);
      size = n_bytes;
    }
    return memory.get();
  }
};

std::shared_ptr<WeightStorage> CpuDevice::load_matrix(const WeightSource& source) {
  const LinearFormat* format = kernels_.linear.find(source.dtype);
  if (format == nullptr)
    fail(ErrorCode::unsupported, "{}: no matrix product for {}; quantize the file again", printable(source.name),
         format_info(source.dtype).text);
  if (source.n_rows < 1 || source.n_cols < 1 || source.n_cols % format_info(source.dtype).block_values != 0)
    fail(ErrorCode::shape, "{}: [{}, {}] is no matrix of whole {} blocks", printable(source.name), source.n_rows, source.n_cols,
         format_info(source.dtype).text);
  return std::make_shared<PackedMatrix>(*format, source, *pool_, options_.huge_pages, options_.low_memory);
}

uint64_t CpuDevice::weight_bytes(DType dtype, int64_t n_rows, int64_t n_cols, WeightUse use) const {
  if (use == WeightUse::vector) return static_cast<uint64_t>((n_rows * n_cols + 15) / 16 * 16) * sizeof(float);
  const LinearFormat* format = kernels_.linear.find(dtype);
  if (options_.low_memory) return 0;
  if (use == WeightUse::table || format == nullptr)
    return row_bytes(dtype, static_cast<uint64_t>(n_cols)) * static_cast<uint64_t>(n_rows);
  const PanelLayout layout(*format, n_rows, n_cols);
  return static_cast<uint64_t>(layout.n_panels * layout.panel_bytes);
}

CpuStream::CpuStream(Workspace& workspace, ThreadPool& pool, const KernelTable& kernels)
    : Stream(workspace), pool_(pool), kernels_(kernels), linear_scratch_(std::make_unique<LinearScratch>()) {}

CpuStream::~CpuStream() = default;

/// What becomes of the sums of a block of rows.
struct LinearJob {
  enum class End { write, add } end = End::write;
  Tensor out, x;
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;

  /// sums [n][n_panels * 16] of tokens [first_token, + n), rows [first_row, + n_panels * 16).
  void finish(const float* sums, int64_t first_token, int64_t n, int64_t first_row, int n_panels) const {
    const int64_t n_rows = std::min<int64_t>(n_panels * kPanelRows, out.n_cols - first_row);
    for (int64_t t = 0; t < n; ++t, sums += n_panels * kPanelRows) {
      float* to = out.row(first_token + t) + first_row;
      if (end == End::write) {
        if (bias)
          for (int64_t r = 0; r < n_rows; ++r) to[r] = sums[r] + bias[first_row + r];
        else
          std::memcpy(to, sums, static_cast<size_t>(n_rows) * sizeof(float));
      } else {
        if (bias)
          for (int64_t r = 0; r < n_rows; ++r) to[r] += sums[r] + bias[first_row + r];
        else
          for (int64_t r = 0; r < n_rows; ++r) to[r] += sums[r];
      }
    }
  }
};

void CpuStream::run_linear(const LinearJob& job) {
  for (int64_t begin = 0; begin < job.x.n_rows; begin += kMaxLinearTokens)
    run_linear_block(job, begin, std::min(kMaxLinearTokens, job.x.n_rows - begin));
}

void CpuStream::run_linear_block(const LinearJob& job, int64_t first_token, int64_t n_tokens) {
  const LinearFormat& format = job.w->format();
  const PanelLayout& layout = job.w->layout();
  const LinearKernels& kernels = kernels_.linear;
  const int64_t n_cols = job.x.n_cols;
  const int64_t blocks_per_chunk = format.act.chunk_k / format_info(format.dtype).block_values;
  const int64_t n_tiles = (n_tokens + kTileTokens - 1) / kTileTokens;
  const int64_t n_row_blocks = (layout.n_panels + kMaxPanels - 1) / kMaxPanels;
  const LinearScratchLayout at(format, layout, job.w->is_packed(), n_cols, n_tokens, pool_.size());
  std::byte* const scratch = linear_scratch_->take(at.total_bytes);
  std::byte* const thread_scratch = scratch + (at.own_act ? 0 : at.act_bytes);

  std::atomic<int64_t> next_block{0};
  pool_.run([&](int worker) noexcept {
    std::byte* own = thread_scratch + worker * at.thread_bytes;
    float* const sums = reinterpret_cast<float*>(own);
    std::byte* const panels = own + at.sum_bytes;
    std::byte* const packed_scratch = panels + at.panel_bytes;
    std::byte* const act = at.own_act ? packed_scratch + at.packed_bytes : scratch;

    const auto quantize = [&](int64_t tile) {
      const int64_t t = tile * kTileTokens;
      const int n = static_cast<int>(std::min<int64_t>(kTileTokens, n_tokens - t));
      kernels.quantize_tile(at.act_layout, job.x.row(first_token + t), job.x.stride, n, n_cols,
                            act + t * at.act_layout.token_bytes(), at.chunk_stride);
    };
    if (at.own_act) {
      quantize(0);
    } else {
      for (int64_t tile = worker; tile < n_tiles; tile += pool_.size()) quantize(tile);
      pool_.barrier(worker);
    }

    for (int64_t block; (block = next_block.fetch_add(1, std::memory_order_relaxed)) < n_row_blocks;) {
      const int64_t first_panel = block * kMaxPanels;
      const int n_panels = static_cast<int>(std::min<int64_t>(kMaxPanels, layout.n_panels - first_panel));
      const std::byte* source[kMaxPanels] = {};
      for (int p = 0; p < n_panels; ++p)
        source[p] = job.w->panel(first_panel + p, packed_scratch + p * aligned(layout.panel_bytes));
      if (at.from_packed) {
        for (int p = 0; p < n_panels; ++p) {
          std::memset(sums, 0, static_cast<size_t>(n_tokens * kPanelRows) * sizeof(float));
          const auto* lines = reinterpret_cast<const uint8_t*>(source[p]) + layout.half_bytes;
          format.multiply_packed(lines, reinterpret_cast<const uint16_t*>(source[p]), layout.n_blocks, act, at.chunk_stride,
                                 static_cast<int>(n_tokens), sums);
          job.finish(sums, first_token, n_tokens, (first_panel + p) * kPanelRows, 1);
        }
        continue;
      }
      std::memset(sums, 0, static_cast<size_t>(n_tokens * n_panels * kPanelRows) * sizeof(float));
      for (int64_t c = 0; c < at.n_chunks; ++c) {
        const int64_t b = c * blocks_per_chunk;
        const int n_blocks = static_cast<int>(std::min(blocks_per_chunk, layout.n_blocks - b));
        for (int p = 0; p < n_panels; ++p) {
          const auto* lines = reinterpret_cast<const uint8_t*>(source[p]) + layout.half_bytes + b * format.pack.n_lines * 64;
          const auto* halves = reinterpret_cast<const uint16_t*>(source[p]) + b * kPanelRows;
          format.unpack(lines, halves, n_blocks, panels + p * format.panel_bytes);
        }
        format.multiply(panels, n_panels, n_blocks, act + c * at.chunk_stride, static_cast<int>(n_tokens), sums);
      }
      job.finish(sums, first_token, n_tokens, first_panel * kPanelRows, n_panels);
    }
  });
}

void CpuStream::linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) {
  run_linear({LinearJob::End::write, out, x, &packed(w), vector_values(bias)});
}

void CpuStream::linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  run_linear({LinearJob::End::add, residual, x, &packed(w), vector_values(bias)});
}

}  // namespace phial::cpu
