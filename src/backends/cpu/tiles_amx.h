// The AMX tile instructions (the names of tiles_plain.h), as inline assembly: GCC 12's own _tile_loadconfig tells the
// compiler of 8 of the 64 bytes it reads, and the stores to the others are dropped. Shapes are those of TileShapes.

template <int k_bytes>
inline void tile_configure() {
  const TileShapes shapes(k_bytes);
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));  // the operand is all 64 bytes
}
inline void tile_release() { __asm__ volatile("tilerelease"); }

template <int tile>
inline void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
}
/// Rows of the tile lie `stride` bytes apart.
template <int tile>
inline void tile_load(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(p), "r"(stride) : "memory");
}
template <int tile>
inline void tile_store(void* p, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(tile), "r"(p), "r"(stride) : "memory");
}
/// The same of what is not read again soon, which leaves the first-level cache to the rest.
template <int tile>
inline void tile_load_once(const void* p, int64_t stride) {
  __asm__ volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(p), "r"(stride) : "memory");
}
/// sum [token][row] += products of bytes a [token][k] and b [k / 4][row][4], each signed or not.
template <int sum, int a, int b, bool signed_a, bool signed_b>
inline void tile_dot() {
  if constexpr (signed_a && signed_b)
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  else if constexpr (signed_a)
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  else if constexpr (signed_b)
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  else
    __asm__ volatile("tdpbuud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
}
/// bf16 pairs: a [token][k], b [k / 2][row][2], f32 sums.
template <int sum, int a, int b>
inline void tile_dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
}
/// f16 pairs likewise. By its bytes, as assemblers before 2023 do not know the name: VEX.128.F2.0F38.W0 5C.
template <int sum, int a, int b>
inline void tile_dot_f16() {
  __asm__ volatile(".byte 0xC4, 0xE2, %c0, 0x5C, %c1" : : "i"((~b & 15) << 3 | 3), "i"(0xC0 | sum << 3 | a));
}
/// 32 signed words of at most 2048 as f16 (AVX-512 FP16, which every processor with such products has).
inline I32x16 f16_of_words(I32x16 v) {
  I32x16 halves;
  __asm__("vcvtw2ph %1, %0" : "=v"(halves) : "v"(v));
  return halves;
}
