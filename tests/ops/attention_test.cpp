// The paged cache and attention: the reference against double; every instruction set, chunking, thread count, page order
// and set of batch mates against the reference, bit for bit. Unwritten slots hold NaN bytes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backends/cpu/attention_cut.h"
#include "ops/devices.h"
#include "ops/ops.h"
#include "tensor/kv_layout.h"

using namespace phial;
using namespace phial::test;

namespace {

struct Case {
  int32_t head_dim, n_heads, n_kv_heads;
  DType k_dtype, v_dtype;
  int32_t window;
  float softcap;
  std::vector<int32_t> lengths;  // of the sequences
  enum class Inputs { normal, uneven, high } inputs = Inputs::normal;
};

const Case kCases[] = {
    {96, 2, 2, DType::f16, DType::f16, 0, 0, {70, 1, 129}},
    {32, 6, 2, DType::q8_0, DType::q8_0, 0, 0, {100, 17}},
    {17, 3, 1, DType::f32, DType::f32, 0, 0, {65}},
    {100, 4, 1, DType::f16, DType::f32, 33, 0, {150, 64}},
    {64, 7, 1, DType::f16, DType::f16, 0, 30.0f, {90}},
    {1, 1, 1, DType::f32, DType::f16, 0, 0, {80}},
    {128, 8, 1, DType::q8_0, DType::f16, 200, 0, {300}},
    {256, 2, 1, DType::f16, DType::q8_0, 0, 0, {66}},
    {16, 70, 1, DType::f16, DType::f16, 0, 0, {40}},
    {32, 2, 1, DType::f16, DType::f16, 0, 0, {2200}},       // three splits
    {32, 1, 1, DType::q8_0, DType::q8_0, 1500, 0, {2600}},  // a window across splits
    {48, 1, 1, DType::f32, DType::f32, 10, 0, {1100}},
    {96, 2, 2, DType::i16, DType::i16, 0, 0, {70, 1, 129}},
    {50, 4, 2, DType::i16, DType::i16, 33, 0, {150, 64}},
    {64, 7, 1, DType::i16, DType::f16, 0, 30.0f, {90}},
    {320, 2, 1, DType::f32, DType::i16, 0, 0, {66}},
    {300, 3, 1, DType::i16, DType::i16, 0, 0, {66}},  // three runs of dimensions
    {208, 1, 1, DType::i16, DType::i16, 0, 20.0f, {100, 13}},
    {256, 5, 1, DType::i16, DType::i16, 40, 0, {130}},
    {2, 70, 1, DType::i16, DType::i16, 0, 0, {40}},
    {32, 2, 1, DType::i16, DType::i16, 1500, 0, {2600}},
    {16, 13, 1, DType::i16, DType::i16, 0, 0, {70}},
    {80, 3, 1, DType::i16, DType::i16, 0, 25.0f, {140}},  // an odd number of vectors
    {128, 4, 1, DType::i16, DType::i16, 0, 0, {200}, Case::Inputs::uneven},
    {96, 2, 1, DType::i16, DType::i16, 0, 0, {1100}, Case::Inputs::uneven},
    {64, 3, 1, DType::f16, DType::i16, 0, 40.0f, {130}, Case::Inputs::uneven},
    {128, 2, 1, DType::i16, DType::i16, 0, 0, {150}, Case::Inputs::high},
};

/// Tokens of all sequences of a case, one after another.
struct Data {
  const Case& c;
  int64_t n_tokens;
  std::vector<float> q, k, v;

  explicit Data(const Case& of) : c(of), n_tokens(std::accumulate(of.lengths.begin(), of.lengths.end(), int64_t{0})) {
    q = normal_values(n_tokens * c.n_heads * c.head_dim, 11, 1.5f);
    k = normal_values(n_tokens * c.n_kv_heads * c.head_dim, 12);
    v = normal_values(n_tokens * c.n_kv_heads * c.head_dim, 13);
    if (of.inputs == Case::Inputs::uneven) make_uneven();
    if (of.inputs == Case::Inputs::high) make_high();
  }
  /// Values of very different lengths, and a first key that draws attention to one near zero.
  void make_uneven() {
    for (size_t i = 0; i < q.size(); i += c.head_dim) q[i] = 8;
    for (int32_t h = 0; h < c.n_kv_heads; ++h) k[h * c.head_dim] = 8;
    for (int64_t t = 0; t < n_tokens; ++t)
      for (int32_t i = 0; i < c.n_kv_heads * c.head_dim; ++i)
        v[t * c.n_kv_heads * c.head_dim + i] *= t == 0 ? 1e-25f : t == 5 ? 0.0f : t % 3 == 1 ? 1e-7f : t % 3 == 2 ? 1.0f : 1e5f;
  }
  /// The integers of an i16 cache and of weights all near the most they can be, so that sums come near 2^24.
  void make_high() {
    for (auto* x : {&q, &k, &v})
      for (float& value : *x) value = 1.999f - 0.06f * std::min(1.0f, std::fabs(value));
  }
  AttentionParams params() const {
    return {c.n_heads, c.n_kv_heads, c.head_dim, 1 / std::sqrt(static_cast<float>(c.head_dim)), c.window, c.softcap};
  }
};

struct Token {
  int32_t sequence, position;
  int64_t row;  // in Data
};

/// A cache for a case whose pages lie in an order given by `seed`.
class Cache {
 public:
  Cache(Bench& bench, const Data& data, uint32_t seed) : bench_(bench), data_(data) {
    const Case& c = data.c;
    for (const int32_t n : c.lengths) max_pages_ = std::max(max_pages_, (n + kPageTokens - 1) / kPageTokens);
    const int32_t n_pages = max_pages_ * static_cast<int32_t>(c.lengths.size()) + 2;
    table_.resize(n_pages);
    std::iota(table_.begin(), table_.end(), 0);
    std::shuffle(table_.begin(), table_.end(), std::mt19937(seed));
    const uint64_t k_bytes = n_pages * kv_page_bytes(c.k_dtype, c.n_kv_heads, c.head_dim);
    const uint64_t v_bytes = n_pages * kv_page_bytes(c.v_dtype, c.n_kv_heads, c.head_dim);
    k_ = bench.device->allocate(k_bytes);
    v_ = bench.device->allocate(v_bytes);
    std::memset(k_.get(), 0xFF, k_bytes);
    std::memset(v_.get(), 0xFF, v_bytes);
    layer_ = {k_.get(), v_.get(), c.k_dtype, c.v_dtype, n_pages, c.n_kv_heads, c.head_dim};
  }

  /// One step: stores and attends to these tokens; results go to their rows of `out`.
  void step(const std::vector<Token>& tokens, bool store, bool attend, std::vector<float>& out) {
    const Case& c = data_.c;
    const int64_t n = static_cast<int64_t>(tokens.size()), q_cols = c.n_heads * c.head_dim, kv_cols = c.n_kv_heads * c.head_dim;
    std::vector<int32_t> positions, sequence_of;
    Guarded q(n, q_cols, q_cols + 7), k(n, kv_cols, kv_cols + 3), v(n, kv_cols, kv_cols + 5), result(n, q_cols, q_cols + 9);
    for (int64_t i = 0; i < n; ++i) {
      positions.push_back(tokens[i].position);
      sequence_of.push_back(tokens[i].sequence);
      std::copy_n(&data_.q[tokens[i].row * q_cols], q_cols, q.view().row(i));
      std::copy_n(&data_.k[tokens[i].row * kv_cols], kv_cols, k.view().row(i));
      std::copy_n(&data_.v[tokens[i].row * kv_cols], kv_cols, v.view().row(i));
    }
    StepInputs in;
    in.n_tokens = static_cast<int32_t>(n);
    in.n_sequences = static_cast<int32_t>(c.lengths.size());
    in.max_pages = max_pages_;
    in.positions = positions.data();
    in.sequence_of = sequence_of.data();
    in.page_table = table_.data();
    if (store) kv_store(*bench_.stream, layer_, k.view(), v.view(), in);
    if (!attend) return;
    attention(*bench_.stream, result.view(), q.view(), layer_, data_.params(), in);
    CHECK(result.guards_hold());
    for (int64_t i = 0; i < n; ++i) std::copy_n(result.view().row(i), q_cols, &out[tokens[i].row * q_cols]);
  }

 private:
  Bench& bench_;
  const Data& data_;
  int32_t max_pages_ = 0;
  std::vector<int32_t> table_;
  std::shared_ptr<std::byte> k_, v_;
  KvLayer layer_;
};

/// Every sequence computed in chunks; the sequences' chunks share steps (mates) or not.
std::vector<float> run(Bench& bench, const Data& data, int32_t chunk, bool mates, uint32_t page_seed) {
  std::vector<float> out(data.q.size(), std::numeric_limits<float>::quiet_NaN());
  Cache cache(bench, data, page_seed);
  const auto& lengths = data.c.lengths;
  const int32_t longest = *std::max_element(lengths.begin(), lengths.end());
  for (int32_t begin = 0; begin < longest; begin += chunk) {
    std::vector<Token> tokens;
    int64_t base = 0;
    for (int32_t s = 0; s < static_cast<int32_t>(lengths.size()); base += lengths[s++]) {
      for (int32_t p = begin; p < std::min(lengths[s], begin + chunk); ++p) tokens.push_back({s, p, base + p});
      if (!mates && !tokens.empty()) {
        cache.step(tokens, true, true, out);
        tokens.clear();
      }
    }
    if (!tokens.empty()) cache.step(tokens, true, true, out);
  }
  return out;
}

/// Tokens at the edges of vectors, tiles, windows and splits, and the last one.
std::vector<Token> edge_tokens(const Data& data) {
  std::vector<Token> tokens;
  int64_t base = 0;
  for (int32_t s = 0; s < static_cast<int32_t>(data.c.lengths.size()); base += data.c.lengths[s++]) {
    std::vector<int32_t> at{0, 1, 15, 16, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2048, data.c.lengths[s] - 1};
    if (data.c.window > 0) at.insert(at.end(), {data.c.window - 1, data.c.window, data.c.window + 1, data.c.window + 1000});
    std::sort(at.begin(), at.end());
    at.erase(std::unique(at.begin(), at.end()), at.end());
    for (const int32_t p : at)
      if (p < data.c.lengths[s]) tokens.push_back({s, p, base + p});
  }
  return tokens;
}

std::vector<float> rows_of(const std::vector<float>& all, const std::vector<Token>& tokens, int64_t width) {
  std::vector<float> rows;
  for (const Token& t : tokens) rows.insert(rows.end(), &all[t.row * width], &all[t.row * width] + width);
  return rows;
}

/// The edge tokens on the reference, the whole cache written at once.
std::vector<float> reference_rows(const Data& data) {
  Cache cache(reference(), data, 1);
  std::vector<Token> all;
  for (int32_t s = 0; s < static_cast<int32_t>(data.c.lengths.size()); ++s)
    for (int32_t p = 0; p < data.c.lengths[s]; ++p) all.push_back({s, p, static_cast<int64_t>(all.size())});
  std::vector<float> out(data.q.size());
  cache.step(all, true, false, out);
  cache.step(edge_tokens(data), false, true, out);
  return rows_of(out, edge_tokens(data), data.c.n_heads * data.c.head_dim);
}

float stored(DType dtype, float x) { return dtype == DType::f16 ? f16_to_f32(f32_to_f16(x)) : x; }

std::vector<double> attention_in_double(const Data& data) {
  const Case& c = data.c;
  const int64_t kv_cols = c.n_kv_heads * c.head_dim;
  std::vector<double> out;
  for (const Token& t : edge_tokens(data)) {
    for (int32_t h = 0; h < c.n_heads; ++h) {
      const int64_t kv_at = h / (c.n_heads / c.n_kv_heads) * c.head_dim, base = t.row - t.position;
      const int32_t first = c.window > 0 ? std::max(0, t.position - c.window + 1) : 0;
      std::vector<double> s, acc(c.head_dim);
      for (int32_t j = first; j <= t.position; ++j) {
        double dot = 0;
        for (int32_t d = 0; d < c.head_dim; ++d)
          dot += static_cast<double>(data.q[(t.row * c.n_heads + h) * c.head_dim + d]) *
                 stored(c.k_dtype, data.k[(base + j) * kv_cols + kv_at + d]);
        dot *= data.params().scale;
        s.push_back(c.softcap > 0 ? c.softcap * std::tanh(dot / c.softcap) : dot);
      }
      const double top = *std::max_element(s.begin(), s.end());
      double sum = 0;
      for (int32_t j = first; j <= t.position; ++j) {
        const double p = std::exp(s[j - first] - top);
        sum += p;
        for (int32_t d = 0; d < c.head_dim; ++d) acc[d] += p * stored(c.v_dtype, data.v[(base + j) * kv_cols + kv_at + d]);
      }
      for (const double a : acc) out.push_back(a / sum);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("attention: reference against double, every device, chunk, page order and mate against the reference") {
  for (const Case& c : kCases) {
    const Data data(c);
    const auto want = reference_rows(data);
    const bool is_q8 = c.k_dtype == DType::q8_0 || c.v_dtype == DType::q8_0;
    CAPTURE(c.head_dim);
    CAPTURE(c.lengths[0]);
    // Of uneven values a third decides, so that fewer errors cancel.
    const double i16_bound = c.inputs == Case::Inputs::uneven ? 2e-4 : 5e-5;
    const bool is_i16 = c.k_dtype == DType::i16 || c.v_dtype == DType::i16;
    CHECK(nmse(want, attention_in_double(data)) < (is_q8 ? 3e-4 : is_i16 ? i16_bound : 1e-12));

    std::vector<float> all;  // every token, from the first run
    for (Bench* bench : cpu_benches()) {
      INFO(bench->label);
      const bool is_slow = bench->label.find("generic") != std::string::npos;
      const bool is_long = c.lengths[0] > 1000;
      for (const int32_t chunk : is_slow || is_long ? std::vector<int32_t>{257} : std::vector<int32_t>{1, 5, 16, 100, 512}) {
        CAPTURE(chunk);
        const auto got = run(*bench, data, chunk, chunk != 16, static_cast<uint32_t>(chunk + 7));
        CHECK(equal_bits(rows_of(got, edge_tokens(data), c.n_heads * c.head_dim), want));
        if (all.empty()) all = got;
        CHECK(equal_bits(got, all));
      }
    }
  }
}

TEST_CASE("attention of one late token is spread over splits with the same bits") {
  for (const DType dtype : {DType::f16, DType::i16}) {
    const Case c{64, 2, 1, dtype, dtype, 0, 0, {5000}};
    const Data data(c);
    const std::vector<Token> last{{0, 4999, 4999}};
    std::vector<Token> tokens;
    for (int32_t p = 0; p < 5000; ++p) tokens.push_back({0, p, p});
    std::vector<float> want(data.q.size()), got;
    Cache reference_cache(reference(), data, 3);
    reference_cache.step(tokens, true, false, want);
    reference_cache.step(last, false, true, want);
    for (Bench* bench : cpu_benches()) {
      INFO(bench->label);
      got.assign(data.q.size(), 0);
      Cache cache(*bench, data, 4);
      cache.step(tokens, true, false, got);
      cache.step(last, false, true, got);
      CHECK(equal_bits(got, want));
    }
  }
}

TEST_CASE("attention: no step takes more room than the longest one is planned to") {
  for (const int32_t n_kv_heads : {1, 2, 8, 32})
    for (const int n_threads : {1, 2, 8, 64}) {
      AttentionParams params;
      params.n_heads = 32, params.n_kv_heads = n_kv_heads, params.head_dim = 96;
      constexpr int64_t n_most_tokens = 512, n_most_splits = 128;
      const auto runs = [](const cpu::AttentionCut& cut, int64_t n) { return (n + cut.tokens - 1) / cut.tokens; };
      const cpu::AttentionCut planned(params, n_most_splits, n_threads);
      const int64_t most = planned.most_bytes(runs(planned, n_most_tokens), n_most_splits, n_most_tokens, n_threads);
      for (int64_t n_splits = 1; n_splits <= n_most_splits; ++n_splits)
        for (int64_t n_tokens : {1, 3, 7, 31, 100, 256, 512}) {
          const cpu::AttentionCut cut(params, n_splits, n_threads);
          CAPTURE(n_kv_heads);
          CAPTURE(n_threads);
          CAPTURE(n_splits);
          CAPTURE(n_tokens);
          CHECK(cut.n_states(runs(cut, n_tokens), n_splits, n_tokens, n_threads) * cut.state_bytes() <= most);
        }
    }
}

TEST_CASE("kv_store: every device writes the same bytes") {
  for (const DType dtype : {DType::f32, DType::f16, DType::i16, DType::q8_0}) {
    const int32_t head_dim = dtype == DType::q8_0 ? 64 : 50, n_kv_heads = 3, n = 100;
    std::vector<float> k = normal_values(n * n_kv_heads * head_dim, 21, 3),
                       v = normal_values(n * n_kv_heads * head_dim, 22, 1e-3f);
    std::fill_n(v.begin(), head_dim, 0.0f);               // a block of zeros
    std::fill_n(v.begin() + head_dim, head_dim, 1e-36f);  // a block too small for a scale
    k[5] = 70000;                                         // beyond f16
    k[6] = 3e-7f;                                         // subnormal in f16
    std::vector<int32_t> positions(n), sequence_of(n), table{1, 0};
    std::iota(positions.begin(), positions.end(), 0);
    StepInputs in;
    in.n_tokens = n;
    in.n_sequences = 1;
    in.max_pages = 2;
    in.positions = positions.data();
    in.sequence_of = sequence_of.data();
    in.page_table = table.data();
    auto stored_by = [&](Bench& b) {
      const uint64_t bytes = 2 * kv_page_bytes(dtype, n_kv_heads, head_dim);
      auto pages = b.device->allocate(2 * bytes);
      const KvLayer layer{pages.get(), pages.get() + bytes, dtype, dtype, 2, n_kv_heads, head_dim};
      Guarded kt(n, n_kv_heads * head_dim, n_kv_heads * head_dim + 1, k), vt(n, n_kv_heads * head_dim, n_kv_heads * head_dim, v);
      kv_store(*b.stream, layer, kt.view(), vt.view(), in);
      return std::vector<std::byte>(pages.get(), pages.get() + 2 * bytes);
    };
    const auto want = stored_by(reference());
    for (Bench* bench : cpu_benches()) {
      INFO(bench->label << " " << format_info(dtype).text);
      CHECK(stored_by(*bench) == want);
    }
  }
}

TEST_CASE("rope_attention is rope, kv_store and attention") {
  const int32_t n = 40, head_dim = 32, n_heads = 4, n_kv_heads = 2;
  const auto q = normal_values(n * n_heads * head_dim, 31), k = normal_values(n * n_kv_heads * head_dim, 32),
             v = normal_values(n * n_kv_heads * head_dim, 33);
  const auto cos_sin = normal_values(n * 16, 34);
  std::vector<int32_t> positions(n), sequence_of(n), table{0};
  std::iota(positions.begin(), positions.end(), 0);
  StepInputs in;
  in.n_tokens = n;
  in.n_sequences = in.max_pages = 1;
  in.positions = positions.data();
  in.sequence_of = sequence_of.data();
  in.page_table = table.data();
  const AttentionParams params{n_heads, n_kv_heads, head_dim, 0.2f, 0, 0};
  auto result = [&](Bench& b, bool fused) {
    auto pages = b.device->allocate(2 * kv_page_bytes(DType::f16, n_kv_heads, head_dim));
    const KvLayer layer{
        pages.get(), pages.get() + kv_page_bytes(DType::f16, n_kv_heads, head_dim), DType::f16, DType::f16, 1, n_kv_heads,
        head_dim};
    Guarded qt(n, n_heads * head_dim, n_heads * head_dim, q), kt(n, n_kv_heads * head_dim, n_kv_heads * head_dim, k);
    Guarded vt(n, n_kv_heads * head_dim, n_kv_heads * head_dim, v), table_rows(n, 16, 16, cos_sin),
        out(n, n_heads * head_dim, n_heads * head_dim);
    if (fused) {
      rope_attention(*b.stream, out.view(), qt.view(), kt.view(), vt.view(), RopeKind::neox, table_rows.view(), layer, params,
                     in);
    } else {
      rope(*b.stream, qt.view(), head_dim, RopeKind::neox, table_rows.view());
      rope(*b.stream, kt.view(), head_dim, RopeKind::neox, table_rows.view());
      kv_store(*b.stream, layer, kt.view(), vt.view(), in);
      attention(*b.stream, out.view(), qt.view(), layer, params, in);
    }
    return out.values();
  };
  const auto want = result(reference(), false);
  CHECK(equal_bits(result(reference(), true), want));
  for (Bench* bench : cpu_benches()) {
    CHECK(equal_bits(result(*bench, false), want));
    CHECK(equal_bits(result(*bench, true), want));
  }
}
