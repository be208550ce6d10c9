// Matrix products: loading of matrices and the linear operations.
//
// One parallel region: the activations are normalized if asked and quantized tile by tile (one or two tiles by every thread for
// itself, without a barrier), then threads take blocks of two panels (32 rows; a gate panel and its up panel where SwiGLU
// follows), a few at a time. For each chunk of k each block is unpacked into first-level cache and multiplied with all tokens,
// whose activations stay in second-level cache for the next block, as do the sums.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/cpu_device.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/packed_matrix.h"
#include "base/fail.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace phial::cpu {

namespace {

constexpr int64_t kAlign = 64;

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

/// Large results are written past the caches, which would first read what is overwritten. Whole lines; followed, before other
/// threads read them, by finish_lines().
constexpr int64_t kStreamedBytes = 1 << 20;
void finish_lines() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

const PackedMatrix& packed(const Weight& w) { return static_cast<const PackedMatrix&>(*w.storage); }

}  // namespace

LinearScratchLayout::LinearScratchLayout(const LinearFormat& packed_format, const PanelLayout& layout, bool is_packed,
                                         bool normalizes, int64_t n_cols, int64_t n_tokens, int n_threads)
    : format(packed_format.for_tokens(n_tokens)),
      own_act(n_tokens <= 2 * kTileTokens),
      from_packed(n_tokens <= std::min(format.packed_tokens * format.packed_tiles, 2 * kTileTokens)),
      act_layout(from_packed ? format.packed_act : format.act),
      run_blocks(from_packed ? 1 : std::clamp<int64_t>(layout.n_panels / kMaxPanels / (4 * n_threads), 1, format.run_blocks)),
      tile_tokens(!from_packed                      ? act_layout.tile_tokens()
                  : n_tokens > format.packed_tokens ? (n_tokens + 1) / 2
                                                    : std::max(act_layout.tile_tokens(), format.packed_tokens)),
      n_slots(act_layout.room(n_tokens)),
      n_chunks((n_cols + act_layout.chunk_k - 1) / act_layout.chunk_k),
      chunk_stride(n_slots * act_layout.token_bytes()),
      act_bytes(aligned(n_chunks * chunk_stride)),
      block_sums(n_slots * kMaxPanels * kPanelRows),
      sum_bytes(aligned(run_blocks * block_sums * 4)),
      panel_bytes(kMaxPanels * aligned(format.panel_bytes)),
      packed_bytes(is_packed ? 0 : run_blocks * kMaxPanels * aligned(layout.panel_bytes)),
      norm_bytes(normalizes ? aligned(tile_tokens * n_cols * 4) : 0),
      thread_bytes(sum_bytes + panel_bytes + packed_bytes + norm_bytes + (own_act ? act_bytes : 0) + 4096),
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

/// Rows that are multiplied together: a gate panel and its up panel, or two panels, or the last one.
struct RowBlock {
  int n_panels;
  float* sums[kMaxPanels];  // of the panels side by side for each token, or one panel's after the other's
  int64_t sum_stride;       // from one token's to the next's
  const std::byte* source[kMaxPanels];
};

/// Blocks of rows that pass a chunk's activations together.
struct BlockRun {
  int64_t first = 0, n = 0;
};

/// A product with what comes before it and what becomes of its sums.
struct LinearJob {
  enum class End { write, add, swiglu } end = End::write;
  Tensor out, x;
  const PackedMatrix* w = nullptr;
  const float* bias = nullptr;
  const float* norm = nullptr;  // rows of x are normalized first
  float norm_eps = 0;

  int64_t n_panels() const { return w->layout().n_panels; }
  int64_t n_blocks() const { return end == End::swiglu ? n_panels() / 2 : (n_panels() + kMaxPanels - 1) / kMaxPanels; }
  /// Panels of a block of rows.
  int block_panels(int64_t block, int64_t (&panel)[kMaxPanels]) const {
    if (end == End::swiglu) {
      panel[0] = block, panel[1] = block + n_panels() / 2;
      return 2;
    }
    panel[0] = block * kMaxPanels, panel[1] = panel[0] + 1;
    return panel[1] < n_panels() ? 2 : 1;
  }

  bool streams() const {
    return end != End::add && out.n_rows * out.n_cols * 4 >= kStreamedBytes && out.stride % kPanelRows == 0 &&
           reinterpret_cast<uintptr_t>(out.data) % kAlign == 0;
  }

  /// Rows of the result lie pages apart: the lines of a later token are asked for while one is written.
  void prefetch_row(int64_t token, int64_t first_row, int64_t n_rows) const {
    constexpr int64_t kAhead = 8;
    if (token + kAhead >= out.n_rows) return;
    const float* line = out.row(token + kAhead) + first_row;
    for (int64_t r = 0; r < n_rows; r += kPanelRows) __builtin_prefetch(line + r, 1);
  }

  /// The n_blocks blocks of rows from first_block on, [n] tokens from first_token on: all blocks of one token side by side.
  void finish(const OpKernels& ops, const RowBlock* blocks, int64_t n_blocks, int64_t first_block, int64_t first_token,
              int64_t n) const {
    const bool gates = end == End::swiglu, past_caches = streams();
    const int64_t block_rows = gates ? kPanelRows : kMaxPanels * kPanelRows, first_row = first_block * block_rows;
    const int64_t n_whole = bias && !gates ? 0 : std::clamp<int64_t>(out.n_cols / block_rows - first_block, 0, n_blocks);
    const LineEnd line_end = gates             ? (past_caches ? LineEnd::swiglu_past : LineEnd::swiglu)
                             : end == End::add ? LineEnd::add
                                               : (past_caches ? LineEnd::write_past : LineEnd::write);
    const int64_t apart = blocks[0].sums[1] - blocks[0].sums[0],
                  stride = n_blocks > 1 ? blocks[1].sums[0] - blocks[0].sums[0] : 0;
    for (int64_t t = 0; t < n; ++t) {
      if (!past_caches) prefetch_row(first_token + t, first_row, n_blocks * block_rows);
      float* const to = out.row(first_token + t) + first_row;
      if (n_whole > 0) ops.finish_blocks(to, blocks[0].sums[0] + t * blocks[0].sum_stride, apart, stride, n_whole, line_end);
      for (int64_t b = n_whole; b < n_blocks; ++b)
        for (int p = 0; p < blocks[b].n_panels; ++p) {
          const int64_t at = b * block_rows + p * kPanelRows;
          write(to + at, blocks[b].sums[p] + t * blocks[b].sum_stride, first_row + at);
        }
    }
    if (past_caches) finish_lines();
  }

 private:
  /// A panel's part of one token's result, from row `row` on.
  void write(float* to, const float* from, int64_t row) const {
    const int64_t n_rows = std::min<int64_t>(kPanelRows, out.n_cols - row);
    for (int64_t r = 0; r < n_rows; ++r) {
      const float value = bias ? from[r] + bias[row + r] : from[r];
      to[r] = end == End::add ? to[r] + value : value;
    }
  }
};

void CpuStream::run_linear(const LinearJob& job) {
  for (int64_t begin = 0; begin < job.x.n_rows; begin += kMaxLinearTokens)
    run_linear_block(job, begin, std::min(kMaxLinearTokens, job.x.n_rows - begin));
}

void CpuStream::run_linear_block(const LinearJob& job, int64_t first_token, int64_t n_tokens) {
  const PanelLayout& layout = job.w->layout();
  const LinearKernels& kernels = kernels_.linear;
  const int64_t n_cols = job.x.n_cols;
  const int64_t n_row_blocks = job.n_blocks();
  const LinearScratchLayout at(job.w->format(), layout, job.w->is_packed(), job.norm != nullptr, n_cols, n_tokens, pool_.size());
  const LinearFormat& format = at.format;
  const int64_t blocks_per_chunk = format.act.chunk_k / format_info(format.dtype).block_values;
  const int64_t tile_tokens = at.tile_tokens, n_tiles = (n_tokens + tile_tokens - 1) / tile_tokens;
  std::byte* const scratch = linear_scratch_->take(at.total_bytes);
  std::byte* const thread_scratch = scratch + (at.own_act ? 0 : at.act_bytes);

  const bool panels_apart = at.from_packed || kernels.tile_panels == 1;
  // Few tokens: long runs of blocks, which the memory's prefetchers follow. All runs get shorter towards the end.
  std::atomic<int64_t> next_block{0};
  const auto take = [&](int64_t& end) {
    int64_t begin = next_block.load(std::memory_order_relaxed);
    do {
      const int64_t run = std::max<int64_t>(1, (n_row_blocks - begin) / (4 * pool_.size()));
      end = begin + (at.own_act ? run : std::min(run, at.run_blocks));
    } while (!next_block.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    end = std::min(end, n_row_blocks);
    return begin;
  };
  const auto body = [&](int worker) noexcept {
    std::byte* own = thread_scratch + worker * at.thread_bytes;
    float* const sums = reinterpret_cast<float*>(own);
    std::byte* const panels = own + at.sum_bytes;
    std::byte* const packed_scratch = panels + at.panel_bytes;
    float* const normalized = reinterpret_cast<float*>(packed_scratch + at.packed_bytes);
    std::byte* const act = at.own_act ? packed_scratch + at.packed_bytes + at.norm_bytes : scratch;

    const auto quantize = [&](int64_t tile) {
      const int64_t t = tile * tile_tokens;
      const int n = static_cast<int>(std::min(tile_tokens, n_tokens - t));
      const float* rows = job.x.row(first_token + t);
      int64_t stride = job.x.stride;
      if (job.norm) {
        for (int i = 0; i < n; ++i)
          kernels_.ops.rms_norm(normalized + i * n_cols, rows + i * stride, job.norm, n_cols, job.norm_eps);
        rows = normalized, stride = n_cols;
      }
      kernels.quantize_tile(at.act_layout, rows, stride, n, n_cols, act + t * at.act_layout.token_bytes(), at.chunk_stride);
    };
    if (at.own_act) {
      for (int64_t tile = 0; tile < n_tiles; ++tile) quantize(tile);
    } else {
      for (int64_t tile = worker; tile < n_tiles; tile += pool_.size()) quantize(tile);
      pool_.barrier(worker);
    }

    const auto open_block = [&](int64_t block, int64_t place) {
      RowBlock b{};
      int64_t panel[kMaxPanels];
      b.n_panels = job.block_panels(block, panel);
      b.sum_stride = panels_apart ? kPanelRows : b.n_panels * kPanelRows;
      b.sums[0] = sums + place * at.block_sums;
      b.sums[1] = b.sums[0] + (panels_apart ? at.n_slots * kPanelRows : kPanelRows);
      for (int p = 0; p < b.n_panels; ++p)
        b.source[p] = job.w->panel(panel[p], packed_scratch + (place * kMaxPanels + p) * aligned(layout.panel_bytes));
      if (at.from_packed || !format.sets_first)
        std::memset(b.sums[0], 0, static_cast<size_t>(at.n_slots * b.n_panels * kPanelRows) * sizeof(float));
      return b;
    };
    const auto multiply_packed = [&](const RowBlock& b, int64_t block) {
      PackedPanels panels{b.n_panels, {}, {}, layout.half_bytes, layout.n_blocks};
      int64_t next[kMaxPanels];
      const bool has_next = job.w->is_packed() && block + 1 < n_row_blocks && job.block_panels(block + 1, next) == b.n_panels;
      for (int p = 0; p < b.n_panels; ++p) {
        panels.start[p] = b.source[p];
        panels.next[p] = has_next ? job.w->panel(next[p], nullptr) : b.source[p];
      }
      for (int64_t t = 0; t < n_tokens; t += tile_tokens) {
        const int n = static_cast<int>(std::min(tile_tokens, n_tokens - t));
        const std::byte* const record = act + t * at.act_layout.token_bytes();
        float* const to[kMaxPanels] = {b.sums[0] + t * kPanelRows, b.sums[1] + t * kPanelRows};
        format.multiply_packed(panels, record, at.chunk_stride, n, to);
      }
    };
    // Blocks of a chunk in a packed panel: their lines and their halves.
    struct PackedPart {
      const std::byte *lines, *halves;
      int n_blocks;
    };
    const auto chunk_of = [&](const std::byte* panel, int64_t c) {
      const int64_t first = c * blocks_per_chunk;
      return PackedPart{panel + layout.half_bytes + first * format.pack.n_lines * 64, panel + first * kPanelRows * 2,
                        static_cast<int>(std::min(blocks_per_chunk, layout.n_blocks - first))};
    };
    const auto add_chunk = [&](LinesAhead& ahead, const std::byte* panel, int64_t c) {
      const PackedPart part = chunk_of(panel, c);
      ahead.add(part.lines, part.n_blocks * int64_t{format.pack.n_lines} * 64);
      if (layout.half_bytes > 0) ahead.add(part.halves, part.n_blocks * int64_t{kPanelRows} * 2);
    };
    // What comes from memory while chunk c of block b is multiplied: its next chunk, or the first one of block `later`.
    const auto lines_after = [&](const RowBlock& b, int64_t c, int64_t later) {
      LinesAhead ahead;
      int64_t panel[kMaxPanels];
      if (c + 1 < at.n_chunks) {
        for (int p = 0; p < b.n_panels; ++p) add_chunk(ahead, b.source[p], c + 1);
      } else if (later < n_row_blocks && job.w->is_packed()) {
        for (int p = 0, n = job.block_panels(later, panel); p < n; ++p) add_chunk(ahead, job.w->panel(panel[p], nullptr), 0);
      }
      return ahead;
    };
    const auto multiply_chunk = [&](const RowBlock& b, int64_t c, int64_t later) {
      for (int p = 0; p < b.n_panels; ++p) {
        const PackedPart part = chunk_of(b.source[p], c);
        format.unpack(reinterpret_cast<const uint8_t*>(part.lines), reinterpret_cast<const uint16_t*>(part.halves), part.n_blocks,
                      panels + p * format.panel_bytes);
      }
      LinesAhead ahead = lines_after(b, c, later);
      const int n_blocks = chunk_of(b.source[0], c).n_blocks;
      const std::byte* const record = act + c * at.chunk_stride;
      if (!panels_apart) {
        format.multiply(panels, b.n_panels, n_blocks, record, static_cast<int>(n_tokens), b.sums[0], c == 0, ahead);
      } else {
        for (int p = 0; p < b.n_panels; ++p)
          format.multiply(panels + p * format.panel_bytes, 1, n_blocks, record, static_cast<int>(n_tokens), b.sums[p], c == 0,
                          ahead);
      }
      ahead.ask_all();
    };

    if (format.enter) format.enter();
    int64_t next = 0, end = 0;
    const auto next_run = [&] {
      if (next >= end) next = take(end);
      const BlockRun run{next, std::clamp<int64_t>(end - next, 0, at.run_blocks)};
      next += run.n;
      return run;
    };
    RowBlock blocks[kMaxRunBlocks];
    const auto open = [&](const BlockRun& run) {
      for (int64_t i = 0; i < run.n; ++i) blocks[i] = open_block(run.first + i, i);
    };
    const auto finish = [&](const BlockRun& run) { job.finish(kernels_.ops, blocks, run.n, run.first, first_token, n_tokens); };
    if (at.from_packed) {
      for (BlockRun run = next_run(); run.n > 0; run = next_run()) open(run), multiply_packed(blocks[0], run.first), finish(run);
    } else {
      // The next run is taken early, so that its beginning can be asked for.
      for (BlockRun run = next_run(), later; run.n > 0; run = later) {
        later = next_run();
        open(run);
        for (int64_t c = 0; c < at.n_chunks; ++c)
          for (int64_t i = 0; i < run.n; ++i) multiply_chunk(blocks[i], c, i < later.n ? later.first + i : n_row_blocks);
        finish(run);
      }
    }
    if (format.leave) format.leave();
  };
  if (at.own_act)
    pool_.run_available(body);
  else
    pool_.run(body);
}

void CpuStream::linear(Tensor out, Tensor x, const Weight& w, const Weight& bias) {
  run_linear({LinearJob::End::write, out, x, &packed(w), vector_values(bias)});
}

void CpuStream::linear_add(Tensor residual, Tensor x, const Weight& w, const Weight& bias) {
  run_linear({LinearJob::End::add, residual, x, &packed(w), vector_values(bias)});
}

void CpuStream::norm_linear(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w, const Weight& bias) {
  if (!fuses_norm(x, norm)) return Stream::norm_linear(out, x, norm, eps, w, bias);
  run_linear({LinearJob::End::write, out, x, &packed(w), vector_values(bias), vector_values(norm), eps});
}

void CpuStream::norm_linear_swiglu(Tensor out, Tensor x, const Weight& norm, float eps, const Weight& w_gate_up) {
  if (!fuses_swiglu(out, x, norm)) return Stream::norm_linear_swiglu(out, x, norm, eps, w_gate_up);
  run_linear({LinearJob::End::swiglu, out, x, &packed(w_gate_up), nullptr, vector_values(norm), eps});
}

}  // namespace phial::cpu
