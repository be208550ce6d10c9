// The eight tiles: up to four of sums, two of activations (16 tokens) and two of weights (16 rows), of 64 or 32 bytes of k.
#pragma once

#include <cstdint>

namespace phial::cpu {

inline constexpr int kTileRows = 16;                 // tokens of a tile
inline constexpr int kActTile = 4, kWeightTile = 6;  // and the ones behind them

/// The operand of ldtilecfg.
struct alignas(64) TileShapes {
  explicit constexpr TileShapes(int k_bytes = 64) {
    for (int i = 0; i < 8; ++i) {
      row_bytes[i] = static_cast<uint16_t>(i == kActTile || i == kActTile + 1 ? k_bytes : 64);
      n_rows[i] = static_cast<uint8_t>(i >= kWeightTile ? k_bytes / 4 : kTileRows);
    }
  }
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t n_rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

}  // namespace phial::cpu
