// KV pages written and read, and attention over them: docs/numerics.md, "Attention". The page layout is kv_layout.h's.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/reference/reference_stream.h"
#include "ops/numerics.h"
#include "quant/codec.h"
#include "tensor/kv_layout.h"

namespace phial {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

/// One K or V page and the index functions of its layout.
struct Page {
  std::byte* bytes;
  DType dtype;
  int64_t n_values;
  KvPageLayout layout;
  int32_t head_dim;
  bool is_key;

  static Page of(const KvLayer& kv, bool is_key, int32_t id) {
    const DType dtype = is_key ? kv.k_dtype : kv.v_dtype;
    std::byte* base = is_key ? kv.k : kv.v;
    return {base + id * kv_page_bytes(dtype, kv.n_kv_heads, kv.head_dim),
            dtype,
            static_cast<int64_t>(kPageTokens) * kv.n_kv_heads * kv.head_dim,
            KvPageLayout(dtype, is_key),
            kv.head_dim,
            is_key};
  }

  template <typename T>
  T& at(int64_t i) const {
    return reinterpret_cast<T*>(bytes)[i];
  }
  template <typename T>
  T& scale(int32_t head, int32_t slot, int32_t d) const {
    return reinterpret_cast<T*>(bytes + n_values * layout.value_bytes)[layout.scale_index(head_dim, head, slot, d)];
  }

  int64_t word(int32_t head, int32_t slot, int32_t d) const { return at<int16_t>(layout.index(head_dim, head, slot, d)); }
  float read(int32_t head, int32_t slot, int32_t d) const {
    const int64_t i = layout.index(head_dim, head, slot, d);
    if (dtype == DType::f32) return at<float>(i);
    if (dtype == DType::f16) return f16_to_f32(at<uint16_t>(i));
    return static_cast<float>(at<int8_t>(i)) * f16_to_f32(scale<uint16_t>(head, slot, d));
  }

  void write(int32_t head, int32_t slot, const float* x) const {
    if (dtype == DType::i16) {
      std::vector<int16_t> words(head_dim);
      scale<float>(head, slot, 0) =
          is_key ? quantize_to(kMaxWord, x, head_dim, words.data()) : quantize_to_power(x, head_dim, words.data());
      for (int32_t d = 0; d < head_dim; ++d) at<int16_t>(layout.index(head_dim, head, slot, d)) = words[d];
    }
    for (int32_t d = 0; d < head_dim; ++d) {
      const int64_t i = layout.index(head_dim, head, slot, d);
      if (dtype == DType::f32) at<float>(i) = x[d];
      if (dtype == DType::f16) at<uint16_t>(i) = f32_to_f16(x[d]);
    }
    if (dtype != DType::q8_0) return;
    for (int32_t d0 = 0; d0 < head_dim; d0 += 32) {
      int8_t q[32];
      scale<uint16_t>(head, slot, d0) = f32_to_f16(quantize_group(x + d0, 32, q));
      for (int32_t d = 0; d < 32; ++d) at<int8_t>(layout.index(head_dim, head, slot, d0 + d)) = q[d];
    }
  }
};

/// The exponent of a value's scale in an i16 cache, which is added to its scores, else 0.
int exponent(const Page& v, int32_t head, int32_t slot) {
  return v.dtype == DType::i16 ? std::ilogb(v.scale<float>(head, slot, 0)) : 0;
}

/// q . k times the unit's factor, plus the addend.
float product(const float* query, const Page& k, int32_t head, int32_t slot, float factor, float addend) {
  float dot = 0;
  if (k.dtype != DType::i16) {
    for (int32_t d = 0; d < k.head_dim; ++d) dot = std::fma(query[d], k.read(head, slot, d), dot);
    return std::fma(dot, factor, addend);
  }
  std::vector<int16_t> words(k.head_dim);
  const float scale = quantize_to(kMaxWord, query, k.head_dim, words.data());
  for (int32_t begin = 0; begin < k.head_dim; begin += kWordDims) {
    int64_t sum = 0;
    for (int32_t d = begin; d < std::min(begin + kWordDims, k.head_dim); ++d) sum += words[d] * k.word(head, slot, d);
    dot = begin == 0 ? static_cast<float>(sum) : dot + static_cast<float>(sum);
  }
  return std::fma(dot * k.scale<float>(head, slot, 0), scale * factor, addend);
}

/// The running softmax of one head of one token, over one split or over all.
struct Softmax {
  float max = kNone;
  float sum = 0;
  std::vector<float> acc;  // [head_dim]

  explicit Softmax(int32_t head_dim) : acc(head_dim) {}

  /// Adds a tile: scores s[0..n) of the visible keys at tile slots first..first + n, values read from `v`.
  void add_tile(const float* s, int32_t first, int32_t n, const Page& v, int32_t head) {
    const float top = *std::max_element(s, s + n), m = std::max(max, top);
    const float c = exp2_not_positive(max - m), part = exp2_not_positive(top - m);
    const bool is_words = v.dtype == DType::i16;
    LaneSum p_sum;
    float p[kPageTokens] = {};
    for (int32_t j = 0; j < n; ++j) {
      p[first + j] = is_words ? attention_weight(s[j] - top) : exp2_not_positive(s[j] - top);
      p_sum.lane[(first + j) % kLanes] += std::ldexp(p[first + j], -exponent(v, head, first + j));
    }
    sum = std::fma(sum, c, p_sum.total() * part);
    max = m;
    for (int32_t d = 0; d < static_cast<int32_t>(acc.size()); ++d) {
      acc[d] *= c;
      if (is_words) {
        int64_t words = 0;
        for (int32_t j = first; j < first + n; ++j) words += std::lrintf(p[j]) * v.word(head, j, d);
        acc[d] = std::fma(static_cast<float>(words), part, acc[d]);
      } else {
        for (int32_t j = first; j < first + n; ++j) acc[d] = std::fma(p[j] * part, v.read(head, j, d), acc[d]);
      }
    }
  }

  void merge(const Softmax& split) {
    if (max == kNone) {
      *this = split;
      return;
    }
    const float m = std::max(max, split.max);
    const float a = exp2_not_positive(max - m), b = exp2_not_positive(split.max - m);
    sum = std::fma(sum, a, split.sum * b);
    for (size_t d = 0; d < acc.size(); ++d) acc[d] = std::fma(acc[d], a, split.acc[d] * b);
    max = m;
  }
};

}  // namespace

void ReferenceStream::kv_store(const KvLayer& kv, Tensor k, Tensor v, const StepInputs& step) {
  for (int32_t t = 0; t < step.n_tokens; ++t) {
    const int32_t position = step.positions[t], slot = position % kPageTokens;
    const int32_t id = step.page_table[step.sequence_of[t] * step.max_pages + position / kPageTokens];
    for (int32_t h = 0; h < kv.n_kv_heads; ++h) {
      Page::of(kv, true, id).write(h, slot, k.row(t) + h * kv.head_dim);
      Page::of(kv, false, id).write(h, slot, v.row(t) + h * kv.head_dim);
    }
  }
}

void ReferenceStream::attention(Tensor out, Tensor q, const KvLayer& kv, const AttentionParams& params, const StepInputs& step) {
  const int32_t head_dim = params.head_dim;
  const ScoreUnit unit(params.scale, params.softcap);
  for (int32_t t = 0; t < step.n_tokens; ++t) {
    const int32_t position = step.positions[t];
    const int32_t first_seen = params.window > 0 ? std::max(0, position - params.window + 1) : 0;
    const int32_t* pages = step.page_table + step.sequence_of[t] * step.max_pages;
    for (int32_t h = 0; h < params.n_heads; ++h) {
      const int32_t kv_head = h / (params.n_heads / params.n_kv_heads);
      const float* query = q.row(t) + h * head_dim;
      Softmax total(head_dim), split(head_dim);
      const int32_t first_tile = first_seen / kPageTokens;
      for (int32_t tile = first_tile; tile <= position / kPageTokens; ++tile) {
        if (tile % (kSplitTokens / kPageTokens) == 0 && tile > first_tile) {
          total.merge(split);
          split = Softmax(head_dim);
        }
        const Page k_page = Page::of(kv, true, pages[tile]), v_page = Page::of(kv, false, pages[tile]);
        const int32_t begin = std::max(0, first_seen - tile * kPageTokens);
        const int32_t end = std::min(kPageTokens, position - tile * kPageTokens + 1);
        float s[kPageTokens];
        for (int32_t j = begin; j < end; ++j) {
          const float e = static_cast<float>(exponent(v_page, kv_head, j));
          const float x = product(query, k_page, kv_head, j, unit.factor, unit.cap > 0 ? 0.0f : e);
          s[j - begin] = unit.cap > 0 ? std::fma(unit.cap, tanh_f32(x), e) : x;
        }
        split.add_tile(s, begin, end - begin, v_page, kv_head);
      }
      total.merge(split);
      for (int32_t d = 0; d < head_dim; ++d) out.row(t)[h * head_dim + d] = total.acc[d] / total.sum;
    }
  }
}

}  // namespace phial
