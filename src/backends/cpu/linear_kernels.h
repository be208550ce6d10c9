// Matrix product kernels of one instruction set, one entry per weight format, and the layouts they share with the driver.
//
// Packed weights: panels of 16 rows. A GGUF block is cut into dwords; dword i of the 16 rows lie side by side as one
// 64-byte line. A f16 that is not part of a dword goes to the panel's head, 16 rows side by side. So packing is a
// transposition: lossless, the same size, and each 32-bit lane belongs to one row.
// Chunk: the run of k that is unpacked and multiplied at once. Panel: a chunk of 16 rows unpacked for the tile kernels.
// Activations: per chunk, per tile of up to kTileTokens tokens, one record; values of the tile's n tokens are interleaved
// every 4 bytes (8 where the instruction set takes 8 k at once), so that the kernel's broadcasts walk memory in order:
// [chunk_k / 4][n] dwords of int8, then [chunk_k / group][n] scales, then [n_aux][n] dwords (ActAux). For AMX tiles values are
// interleaved every 64 bytes, and a tile always has 16 tokens: those missing are zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "quant/half.h"
#include "tensor/dtype.h"

namespace phial::cpu {

inline constexpr int kPanelRows = 16;
inline constexpr int kTileTokens = 6;
inline constexpr int kManyTokens = 16;    // from which another kernel may take over
inline constexpr int kMaxPanels = 2;      // panels a tile kernel takes at once
inline constexpr int kMaxRunBlocks = 16;  // LinearFormat::run_blocks
inline constexpr int kChunkK = 256;       // quantized formats
inline constexpr int kFloatChunkK = 64;   // f32, f16, bf16
inline constexpr int kPairChunkK = 256;   // bf16 and f16 with activations rounded likewise

struct PackLayout {
  int n_lines = 0;       // dwords of a block that become lines
  int dword_offset = 0;  // where they begin in the block
  int half_offset = 0;   // a f16 beside them, or -1
  uint32_t flip = 0;     // xor-ed into every line: 0x80 in each byte makes signed levels unsigned
  int bits_line = 0;     // line that holds one bit for each of 32 values, reordered to byte b, bit j = value 4 j + b; or -1
};

/// What a kernel wants to know of the quantized activations beside values and scales.
enum class ActAux : uint8_t {
  none,
  pairs16,       // sums of 16 as words (s[4i], s[4i+2]), (s[4i+1], s[4i+3]): 8 dwords
  pairs32,       // sums of 32 likewise: 4 dwords
  offset16,      // -offset * sum of 16, int32: 16 dwords
  offset32,      // -offset * sum of 32, int32: 8 dwords
  offset_group,  // -offset * sum of the group, int32
  sums32,        // sum of 32 as f32: 8 dwords
};

enum class ActValues : uint8_t {
  f32,
  bf16,
  f16,  // times a power of two that brings the chunk's largest magnitude to 2^14 and more; its inverse is the scale
  i8,
  i8_as_f16,  // the same integers as f16, the middle two of each four exchanged
};

struct ActLayout {
  int chunk_k = 0;  // values per record and token
  ActValues values = ActValues::f32;
  int group = 0;  // values per scale; 0 = no scales
  ActAux aux = ActAux::none;
  int offset = 0;
  int n_aux = 0;
  int run = 4;        // bytes of one token's values that lie side by side
  int tile_rows = 0;  // tokens of every record; 0 = up to kTileTokens, as many as there are
  // One more dword after the others, if sum_values is not 0: whether any sum of that many products with levels in
  // -sum_low..sum_high may exceed sum_limit.
  int sum_values = 0, sum_low = 0, sum_high = 0, sum_limit = 0;
  constexpr int value_bytes() const { return chunk_k * (values == ActValues::f32 ? 4 : values == ActValues::i8 ? 1 : 2); }
  constexpr int token_bytes() const { return value_bytes() + (group == 0 ? 0 : (chunk_k / group + n_aux) * 4); }
  constexpr int tile_tokens() const { return tile_rows == 0 ? kTileTokens : tile_rows; }
  /// Tokens that n take room for.
  constexpr int64_t room(int64_t n) const { return tile_rows == 0 ? n : (n + tile_rows - 1) / tile_rows * tile_rows; }
};

constexpr ActLayout bf16_layout() { return {.chunk_k = kPairChunkK, .values = ActValues::bf16}; }
constexpr ActLayout f16_layout() { return {.chunk_k = kPairChunkK, .values = ActValues::f16, .group = kPairChunkK}; }

/// A block of rows for few tokens, as its panels lie packed.
struct PackedPanels {
  int n = 0;  // 1 or 2
  const std::byte* start[kMaxPanels] = {};
  const std::byte* next[kMaxPanels] = {};  // what is read after each: it is asked for towards the end
  int64_t half_bytes = 0, n_blocks = 0;    // PanelLayout's
};

/// What is read next from memory: kernels ask for a line at a time between their products, as many at once would take the places
/// in which loads from the second-level cache wait too.
class LinesAhead {
 public:
  void add(const void* begin, int64_t n_bytes) {
    if (n_bytes > 0) run_[n_++] = {static_cast<const std::byte*>(begin), static_cast<const std::byte*>(begin) + n_bytes};
  }
  void ask() {
    if (i_ == n_) return;
    Run& run = run_[i_];
    __builtin_prefetch(run.at, 0, 2);
    run.at += 64;
    if (run.at >= run.end) ++i_;
  }
  void ask_all() {
    while (i_ < n_) ask();
  }

 private:
  struct Run {
    const std::byte *at, *end;
  };
  Run run_[2 * kMaxPanels];  // of each panel lines and halves
  int n_ = 0, i_ = 0;
};

struct LinearFormat {
  DType dtype;
  PackLayout pack{};
  ActLayout act{};         // for panels
  ActLayout packed_act{};  // for multiply_packed
  uint32_t panel_bytes = 0;
  /// One chunk of n_blocks blocks of 16 rows to a panel. lines: 64-byte aligned.
  void (*unpack)(const uint8_t* lines, const uint16_t* halves, int n_blocks, std::byte* panel) = nullptr;
  /// acc [n_tokens][n_panels * 16] += one chunk: n_panels (1 or 2) panels one after another, times n_tokens tokens; `ahead` is
  /// asked for on the way. first: of a chain; where sets_first, acc then holds nothing yet.
  void (*multiply)(const std::byte* panels, int n_panels, int n_blocks, const std::byte* act, int n_tokens, float* acc,
                   bool first, LinesAhead& ahead) = nullptr;
  /// acc[p] [n_tokens][16] += all blocks of packed panel p times one tile of tokens, without unpacking; the records of the
  /// chunks are chunk_stride bytes apart. nullptr: none.
  void (*multiply_packed)(const PackedPanels& panels, const std::byte* act, int64_t chunk_stride, int n_tokens,
                          float* const (&acc)[kMaxPanels]) = nullptr;
  /// What multiplies kManyTokens and more, the same packed weights to the same bits; nullptr: this.
  const LinearFormat* many = nullptr;
  /// Called by each thread before and after its products, if not nullptr.
  void (*enter)() = nullptr;
  void (*leave)() = nullptr;
  bool sets_first = false;
  int run_blocks = 4;  // blocks of rows that pass one chunk's activations while these lie in second-level cache, with their sums
  int packed_tokens = 0;  // that multiply_packed takes, at most
  int packed_tiles = 1;   // that are multiplied so one after another before unpacking pays

  const LinearFormat& for_tokens(int64_t n) const { return many && n >= kManyTokens ? *many : *this; }
};

inline constexpr int kFormatCount = 0
#define X(name, text, id, values, bytes, group) +1
#include "tensor/formats.def"
#undef X
    ;

struct LinearKernels {
  const LinearFormat* formats = nullptr;  // by DType
  int tile_panels = kMaxPanels;           // panels that multiply takes at its best
  /// One tile of n tokens, all chunks: x [n] rows of n_cols values (stride apart); out: the record of the first chunk,
  /// the next chunk's chunk_stride bytes on. The last chunk is filled with zeros.
  void (*quantize_tile)(const ActLayout& layout, const float* x, int64_t stride, int n, int64_t n_cols, std::byte* out,
                        int64_t chunk_stride) = nullptr;

  /// nullptr: the format has no kernels.
  const LinearFormat* find(DType dtype) const {
    const LinearFormat& format = formats[static_cast<size_t>(dtype)];
    return format.multiply ? &format : nullptr;
  }
};

}  // namespace phial::cpu
