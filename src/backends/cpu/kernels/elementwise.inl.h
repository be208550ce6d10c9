// Norms, sums, gates and rotations of one row. The last lanes of a row are loaded and stored in part.

inline void rms_norm(float* out, const float* x, const float* weight, int64_t n, float eps) {
  F32x16 squares = zero_f32();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F32x16 v = load(x + i);
    squares = fma(v, v, squares);
  }
  const int rest = static_cast<int>(n - i);
  if (rest > 0) {
    const F32x16 v = load_first(x + i, rest);
    squares = fma(v, v, squares);
  }
  const float scale = 1.0f / __builtin_sqrtf(sum_lanes(squares) / static_cast<float>(n) + eps);
  for (i = 0; i + 16 <= n; i += 16) store(out + i, mul(mul(load(x + i), splat(scale)), load(weight + i)));
  if (rest > 0) store_first(out + i, mul(mul(load_first(x + i, rest), splat(scale)), load_first(weight + i, rest)), rest);
}

inline void add_row(float* out, const float* a, const float* b, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, add(load(a + i), load(b + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store_first(out + i, add(load_first(a + i, rest), load_first(b + i, rest)), rest);
}

inline void swiglu_row(float* out, const float* gate, const float* up, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, mul(silu(load(gate + i)), load(up + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store_first(out + i, mul(silu(load_first(gate + i, rest)), load_first(up + i, rest)), rest);
}

inline void finish_blocks(float* to, const float* sums, int64_t apart, int64_t stride, int64_t n, LineEnd end) {
  const auto each = [&](int64_t n_rows, auto put) __attribute__((always_inline)) {
    for (; n > 0; --n, sums += stride, to += n_rows) put(load(sums), load(sums + apart));
  };
  switch (end) {
    case LineEnd::write:
      return each(32, [&](F32x16 a, F32x16 b) { store(to, a), store(to + 16, b); });
    case LineEnd::write_past:
      return each(32, [&](F32x16 a, F32x16 b) { store_past(to, a), store_past(to + 16, b); });
    case LineEnd::add:
      return each(32, [&](F32x16 a, F32x16 b) { store(to, add(a, load(to))), store(to + 16, add(b, load(to + 16))); });
    case LineEnd::swiglu:
      return each(16, [&](F32x16 gate, F32x16 up) { store(to, mul(silu(gate), up)); });
    case LineEnd::swiglu_past:
      return each(16, [&](F32x16 gate, F32x16 up) { store_past(to, mul(silu(gate), up)); });
  }
}

inline void rope_pairs(float* a, float* b, F32x16 cosine, F32x16 sine, int n) {
  const F32x16 a0 = load_first(a, n), b0 = load_first(b, n);
  store_first(a, fma(a0, cosine, sub(splat(-0.0f), mul(b0, sine))), n);
  store_first(b, fma(b0, cosine, mul(a0, sine)), n);
}

inline void rope_row(float* x, int64_t n_heads, int64_t head_dim, RopeKind kind, const float* cos_sin, int64_t n_rot) {
  const int64_t half = n_rot / 2;
  const float* sines = cos_sin + half;
  for (float* head = x; head < x + n_heads * head_dim; head += head_dim) {
    if (kind == RopeKind::neox) {
      for (int64_t i = 0; i < half; i += 16) {
        const int n = static_cast<int>(half - i < 16 ? half - i : 16);
        rope_pairs(head + i, head + half + i, load_first(cos_sin + i, n), load_first(sines + i, n), n);
      }
    } else {
      for (int64_t i = 0; i < half; ++i) {
        const float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = __builtin_fmaf(a, cos_sin[i], -(b * sines[i]));
        head[2 * i + 1] = __builtin_fmaf(b, cos_sin[i], a * sines[i]);
      }
    }
  }
}
