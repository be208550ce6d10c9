// The eight tiles, as one configuration for every kernel: sums of two panels (two byte planes each), a tile of
// activations and one of weights, and those two for 32 bytes of k.
#pragma once

#include <cstdint>

namespace phial::cpu {

inline constexpr int kTileRows = 16;  // tokens of a tile
inline constexpr int kActTile = 4, kWeightTile = 5, kActTile32 = 6, kWeightTile32 = 7;

/// The operand of ldtilecfg.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 32, 64};
  uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 8};
};
static_assert(sizeof(TileShapes) == 64);

}  // namespace phial::cpu
