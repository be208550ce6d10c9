// The tile operations of tiles_amx.h as plain C++: their twin, with which the logic of the kernels is tested everywhere.
// Included inside the namespace of the instruction set.

struct PlainTiles {
  TileShapes shapes;
  bool configured = false;
  alignas(64) uint8_t bytes[8][kTileRows][64];
};
inline PlainTiles& plain_tiles() {
  static thread_local PlainTiles tiles;
  return tiles;
}

/// Tiles hold garbage until they are loaded; what is used without a configuration is garbage too.
template <int k_bytes>
inline void tile_configure() {
  plain_tiles().shapes = TileShapes(k_bytes);
  plain_tiles().configured = true;
  __builtin_memset(plain_tiles().bytes, 0xA5, sizeof plain_tiles().bytes);
}
inline void tile_release() { plain_tiles().configured = false; }

template <int tile>
inline void tile_zero() {
  __builtin_memset(plain_tiles().bytes[tile], plain_tiles().configured ? 0 : 0xA5, sizeof plain_tiles().bytes[tile]);
}
template <int tile>
inline void tile_load(const void* p, int64_t stride) {
  PlainTiles& t = plain_tiles();
  if (!t.configured) return;
  for (int row = 0; row < t.shapes.n_rows[tile]; ++row)
    __builtin_memcpy(t.bytes[tile][row], static_cast<const uint8_t*>(p) + row * stride, t.shapes.row_bytes[tile]);
}
template <int tile>
inline void tile_load_once(const void* p, int64_t stride) {
  tile_load<tile>(p, stride);
}
template <int tile>
inline void tile_store(void* p, int64_t stride) {
  const PlainTiles& t = plain_tiles();
  for (int row = 0; row < t.shapes.n_rows[tile]; ++row)
    __builtin_memcpy(static_cast<uint8_t*>(p) + row * stride, t.bytes[tile][row], t.shapes.row_bytes[tile]);
}

/// add(sum, activations, weights) for each lane and each four bytes of k, in order of k.
template <int sum, int a, int b, class Sum, class Add>
inline void for_tile_products(Add add) {
  PlainTiles& t = plain_tiles();
  for (int token = 0; token < t.shapes.n_rows[sum]; ++token)
    for (int row = 0; row < t.shapes.row_bytes[sum] / 4; ++row) {
      Sum value;
      __builtin_memcpy(&value, t.bytes[sum][token] + row * 4, 4);
      add(value, t.bytes[a][token], t.bytes[b][0] + row * 4, t.shapes.row_bytes[a] / 4);
      __builtin_memcpy(t.bytes[sum][token] + row * 4, &value, 4);
    }
}
template <int sum, int a, int b, bool signed_a, bool signed_b>
inline void tile_dot() {
  const auto widened = [](uint8_t byte, bool is_signed) { return is_signed ? static_cast<int8_t>(byte) : int{byte}; };
  for_tile_products<sum, a, b, int32_t>([&](int32_t& value, const uint8_t* x, const uint8_t* w, int n) {
    for (int k = 0; k < n; ++k)
      for (int i = 0; i < 4; ++i) value += widened(x[k * 4 + i], signed_a) * widened(w[k * 64 + i], signed_b);
  });
}

/// What is below the normal numbers counts as zero, before and after each operation.
inline float flushed(float f) { return __builtin_fabsf(f) < 0x1p-126f ? f * 0.0f : f; }
/// First and second halves of the pairs have a sum each, from zero; what they come to is added at the end.
template <int sum, int a, int b>
inline void tile_dot_pairs(float (*widened)(uint16_t)) {
  for_tile_products<sum, a, b, float>([widened](float& value, const uint8_t* x, const uint8_t* w, int n) {
    float part[2] = {};
    for (int k = 0; k < n; ++k)
      for (int i = 0; i < 2; ++i) {
        uint16_t u, v;
        __builtin_memcpy(&u, x + k * 4 + i * 2, 2);
        __builtin_memcpy(&v, w + k * 64 + i * 2, 2);
        part[i] = flushed(__builtin_fmaf(widened(u), widened(v), part[i]));
      }
    value = flushed(flushed(value) + flushed(part[0] + part[1]));
  });
}
template <int sum, int a, int b>
inline void tile_dot_bf16() {
  tile_dot_pairs<sum, a, b>([](uint16_t h) { return flushed(bf16_to_f32(h)); });
}
template <int sum, int a, int b>
inline void tile_dot_f16() {
  tile_dot_pairs<sum, a, b>([](uint16_t h) { return f16_value(h); });
}
/// 32 signed words of at most 2048 as f16.
inline I32x16 f16_of_words(I32x16 v) {
  for (int32_t& lane : v.lane) {
    const uint32_t words = static_cast<uint32_t>(lane);
    const auto half = [](uint32_t word) -> uint32_t { return f16_bits(static_cast<float>(static_cast<int16_t>(word))); };
    const uint32_t low = half(words & 0xFFFF), high = half(words >> 16);
    lane = static_cast<int32_t>(high << 16 | low);
  }
  return v;
}
