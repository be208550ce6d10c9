// Runs one kernel of the matrix product a number of times, for instruction counts (bench/arm_counts.py).
// tile_run ISA FORMAT unpack|panel|packed TOKENS TIMES: a panel of 16 rows and one chunk of k.
#include <fmt/core.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "backends/cpu/kernel_table.h"
#include "phial/error.h"
#include "tensor/dtype.h"

using namespace phial;
using namespace phial::cpu;

namespace {

struct alignas(64) Line {
  std::byte bytes[64] = {};
};

int run(const std::string& isa, const std::string& name, const std::string& what, int n_tokens, int times) {
  const auto dtype = dtype_from_text(name);
  const LinearFormat* format = dtype ? kernel_table(isa).linear.find(*dtype) : nullptr;
  if (format == nullptr || n_tokens < 1 || n_tokens > kTileTokens) {
    fmt::print(stderr, "error: no product of {} tokens with {}\n", n_tokens, name);
    return 2;
  }
  const int n_blocks = format->act.chunk_k / static_cast<int>(format_info(format->dtype).block_values);
  const size_t n_halves = 1 + static_cast<size_t>(n_blocks);
  std::vector<Line> halves_and_lines(n_halves + 1 + static_cast<size_t>(n_blocks * format->pack.n_lines)),
      panel(1 + format->panel_bytes / 64), record(1 + static_cast<size_t>(kTileTokens * 4 * kChunkK / 64)), sums(kTileTokens);
  const auto* half_words = reinterpret_cast<const uint16_t*>(halves_and_lines.data());
  const auto* line_bytes = reinterpret_cast<const uint8_t*>(halves_and_lines.data() + n_halves);
  const auto* start = reinterpret_cast<const std::byte*>(half_words);
  const PackedPanels packed{1, {start, nullptr}, {start, nullptr}, static_cast<int64_t>(n_halves * 64), n_blocks};
  auto* panel_bytes = reinterpret_cast<std::byte*>(panel.data());
  const auto* act = reinterpret_cast<const std::byte*>(record.data());
  auto* acc = reinterpret_cast<float*>(sums.data());
  LinesAhead ahead;  // none
  for (int i = 0; i < times; ++i) {
    if (what == "unpack") format->unpack(line_bytes, half_words, n_blocks, panel_bytes);
    if (what == "panel") format->multiply(panel_bytes, 1, n_blocks, act, n_tokens, acc, false, ahead);
    if (what == "packed") format->multiply_packed(packed, act, 0, n_tokens, {acc, nullptr});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6) {
    fmt::print(stderr, "usage: tile_run ISA FORMAT unpack|panel|packed TOKENS TIMES\n");
    return 2;
  }
  return run(argv[1], argv[2], argv[3], std::atoi(argv[4]), std::atoi(argv[5]));
} catch (const Error& e) {
  fmt::print(stderr, "error: {}\n", e.what());
  return 1;
}
