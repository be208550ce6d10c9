// Matrix products of the CPU backend: every format, instruction set, shape, token and thread count gives the bits of the
// reference backend (BF16 and F16 weights where activations are rounded too: those of a model here); loading packs without loss
// of what is multiplied.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backends/cpu/kernel_table.h"
#include "ops/devices.h"
#include "phial/error.h"
#include "quant/codec.h"
#include "tensor/registry.h"
#include "tensor/stream.h"

namespace phial {
namespace {

/// Random bytes of whole blocks with scales of sane size, as a file might hold them.
std::vector<std::byte> random_weight(DType dtype, int64_t n_rows, int64_t n_cols, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<std::byte> bytes(row_bytes(dtype, static_cast<uint64_t>(n_cols)) * static_cast<uint64_t>(n_rows));
  std::uniform_real_distribution<float> small(-1, 1);
  if (!format_info(dtype).is_quantized()) {
    for (size_t i = 0; i < bytes.size(); i += format_info(dtype).block_bytes) {
      const float f = small(rng);
      const uint16_t h = dtype == DType::f16 ? f32_to_f16(f) : f32_to_bf16(f);
      if (dtype == DType::f32)
        std::memcpy(&bytes[i], &f, 4);
      else
        std::memcpy(&bytes[i], &h, 2);
    }
    return bytes;
  }
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  std::vector<size_t> scales;  // where a block holds f16
  switch (dtype) {
    case DType::q4_0:
    case DType::q5_0:
    case DType::q8_0:
      scales = {0};
      break;
    case DType::q2_k:
      scales = {80, 82};
      break;
    case DType::q3_k:
      scales = {108};
      break;
    case DType::q6_k:
      scales = {208};
      break;
    default:
      scales = {0, 2};
  }
  for (size_t i = 0; i < bytes.size(); i += format_info(dtype).block_bytes)
    for (size_t at : scales) {
      const uint16_t h = f32_to_f16(small(rng) / 16);
      std::memcpy(&bytes[i + at], &h, 2);
    }
  return bytes;
}

WeightSource source_of(const std::vector<std::byte>& bytes, DType dtype, int64_t n_rows, int64_t n_cols) {
  const uint64_t row = row_bytes(dtype, static_cast<uint64_t>(n_cols));
  WeightSource s{"test.weight", dtype, n_rows, n_cols, {}, {}};
  s.read_rows = [&bytes, row](int64_t begin, int64_t n, std::span<std::byte> out) {
    REQUIRE(out.size() == static_cast<uint64_t>(n) * row);
    std::memcpy(out.data(), &bytes[static_cast<uint64_t>(begin) * row], out.size());
  };
  s.mapped_rows = [&bytes, row](int64_t begin) { return &bytes[static_cast<uint64_t>(begin) * row]; };
  return s;
}

/// One device, one stream, run on plain arrays.
class Runner {
 public:
  Runner(const std::string& device, const std::string& isa, int n_threads, bool low_memory = false)
      : memory_(65 << 10), workspace_(align(memory_), 64 << 10) {
    DeviceOptions options;
    options.pool = std::make_shared<ThreadPool>(n_threads);
    options.isa = isa;
    options.low_memory = low_memory;
    device_ = test::open_test_device(device, options);
    stream_ = device_->open_stream(workspace_);
  }
  Device& device() { return *device_; }
  Stream& stream() { return *stream_; }
  Weight load(const WeightSource& s, WeightUse use = WeightUse::matrix) { return device_->load(s, use); }

 private:
  static std::byte* align(std::vector<std::byte>& v) {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(v.data()) + 63) & ~uintptr_t{63});
  }
  std::vector<std::byte> memory_;
  Workspace workspace_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
};

std::vector<float> random_values(int64_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(static_cast<size_t>(n));
  for (float& f : v) f = normal(rng);
  // Groups a quantizer meets at its edges: all zero, tiny, one large value.
  for (size_t i = 0; i < v.size() && i < 32; ++i) v[i] = 0;
  if (v.size() > 300) v[290] = 40.0f;
  for (size_t i = 128; i < v.size() && i < 256; ++i) v[i] *= 1e-34f;
  return v;
}

// Rows of x and out are padded with guards, which must not change.
constexpr float kGuard = 12345.0f;

std::vector<float> product(Runner& runner, const Weight& w, const Weight& bias, const std::vector<float>& x, int64_t n_tokens) {
  const int64_t stride = w.n_rows + 5;
  std::vector<float> out(static_cast<size_t>(stride * n_tokens), kGuard), in = x;
  runner.stream().linear({out.data(), n_tokens, w.n_rows, stride}, {in.data(), n_tokens, w.n_cols, w.n_cols}, w, bias);
  std::vector<float> dense;
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t r = 0; r < w.n_rows; ++r) dense.push_back(out[static_cast<size_t>(t * stride + r)]);
    for (int64_t r = w.n_rows; r < stride; ++r) REQUIRE(out[static_cast<size_t>(t * stride + r)] == kGuard);
  }
  return dense;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

constexpr DType kFormats[] = {DType::f32,  DType::f16,  DType::bf16, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
                              DType::q8_0, DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k};

/// What a tile's product adds to a sum for the 32 values from k on, by product(k, sum) of one.
template <typename Product>
float tile_sum(int64_t k, const Product& product) {
  float even = 0, odd = 0;
  for (int64_t i = k; i < k + 32; i += 2) even = product(i, even), odd = product(i + 1, odd);
  return even + odd;
}

/// A product of BF16 weights and activations rounded to bf16, as docs/numerics.md has it for pairs, or for tiles of 32.
std::vector<float> bf16_product(const std::vector<std::byte>& bytes, int64_t n_rows, int64_t n_cols, const std::vector<float>& x,
                                int64_t n_tokens, bool tiles) {
  std::vector<float> out;
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t r = 0; r < n_rows; ++r) {
      const auto fma_at = [&](int64_t k, float sum) {
        if (k >= n_cols) return sum;
        uint16_t h;
        std::memcpy(&h, &bytes[static_cast<size_t>((r * n_cols + k) * 2)], 2);
        return std::fma(bf16_to_f32(h), bf16_to_f32(f32_to_bf16(x[static_cast<size_t>(t * n_cols + k)])), sum);
      };
      float sum = 0;
      for (int64_t k = 0; k < n_cols; k += tiles ? 32 : 2) {
        if (!tiles) {
          sum = fma_at(k, fma_at(k + 1, sum));
          continue;
        }
        sum += tile_sum(k, fma_at);
      }
      out.push_back(sum);
    }
  return out;
}

/// A product of F16 weights and activations rounded to f16, as docs/numerics.md has it for tiles of 32: x of 256 k times a power
/// of two.
std::vector<float> f16_product(const std::vector<std::byte>& bytes, int64_t n_rows, int64_t n_cols, const std::vector<float>& x,
                               int64_t n_tokens) {
  std::vector<float> out;
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t r = 0; r < n_rows; ++r) {
      float sum = 0;
      for (int64_t begin = 0; begin < n_cols; begin += 256) {
        const int64_t end = std::min(begin + 256, n_cols);
        float amax = 0;
        for (int64_t k = begin; k < end; ++k) amax = std::max(amax, std::fabs(x[static_cast<size_t>(t * n_cols + k)]));
        int exponent = 0;
        std::frexp(amax, &exponent);  // amax in [2^(exponent - 1), 2^exponent)
        const auto product = [&](int64_t k, float part) {
          if (k >= end) return part;
          uint16_t h;
          std::memcpy(&h, &bytes[static_cast<size_t>((r * n_cols + k) * 2)], 2);
          const float scaled = amax < 1e-30f ? 0 : std::ldexp(x[static_cast<size_t>(t * n_cols + k)], 15 - exponent);
          return std::fma(f16_to_f32(h), f16_to_f32(f32_to_f16(scaled)), part);
        };
        float chunk = 0;
        for (int64_t k = begin; k < end; k += 32) chunk += tile_sum(k, product);
        sum += std::ldexp(chunk, exponent - 15);
      }
      out.push_back(sum);
    }
  return out;
}

void compare(DType dtype, int64_t n_rows, int64_t n_cols, const std::vector<int64_t>& tokens, const std::string& isa,
             int n_threads, bool low_memory = false) {
  CAPTURE(std::string(format_info(dtype).text));
  CAPTURE(n_rows);
  CAPTURE(n_cols);
  CAPTURE(isa);
  CAPTURE(n_threads);
  const auto bytes = random_weight(dtype, n_rows, n_cols, 7);
  const auto source = source_of(bytes, dtype, n_rows, n_cols);
  Runner reference("reference", "", 1), cpu("cpu", isa, n_threads, low_memory);
  const Weight expected_w = reference.load(source), w = cpu.load(source);
  for (int64_t n : tokens) {
    CAPTURE(n);
    const auto x = random_values(n * n_cols, static_cast<uint32_t>(n));
    const std::string kernels = isa.empty() ? cpu::kernel_table("").name : isa;
    const bool tiles = kernels.rfind("amx", 0) == 0, f16_tiles = kernels.rfind("amx_fp16", 0) == 0;
    std::vector<float> expected;
    if (dtype == DType::bf16 && (tiles || kernels == "avx512_bf16"))
      expected = bf16_product(bytes, n_rows, n_cols, x, n, tiles);
    else if (dtype == DType::f16 && f16_tiles)
      expected = f16_product(bytes, n_rows, n_cols, x, n);
    else
      expected = product(reference, expected_w, {}, x, n);
    CHECK(same_bits(product(cpu, w, {}, x, n), expected));
  }
}

TEST_CASE("matrix product: all formats and instruction sets give the reference's bits") {
  for (const std::string& isa : test::isas_here())
    for (DType dtype : kFormats) {
      compare(dtype, 50, 512, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 64}, isa, 2);
      compare(dtype, 16, 256, {1, 40}, isa, 1);
    }
}

TEST_CASE("matrix product: odd rows, model-sized and short columns") {
  for (const std::string& isa : test::isas_here())
    for (DType dtype : kFormats) {
      for (int64_t n_rows : {1, 15, 17, 33}) compare(dtype, n_rows, 768, {1, 5, 8, 17}, isa, 3);
      compare(dtype, 20, 3072, {1, 6}, isa, 2);
      if (format_info(dtype).block_values == 32)
        for (int64_t n_cols : {32, 64, 160, 288}) compare(dtype, 18, n_cols, {1, 7, 18}, isa, 2);
      if (format_info(dtype).block_values == 1)
        for (int64_t n_cols : {1, 3, 63, 65, 130, 259}) compare(dtype, 18, n_cols, {1, 7, 18}, isa, 2);
    }
}

TEST_CASE("matrix product: F16 on f16 tiles where their instructions are carried out by a handler") {
  if (!test::traps_tiles()) return;
  compare(DType::f16, 50, 512, {1, 2, 8, 12, 13, 16, 33, 64}, test::kTrappedF16, 2);
  for (int64_t n_cols : {1, 3, 63, 130, 259}) compare(DType::f16, 18, n_cols, {1, 7, 18}, test::kTrappedF16, 2);
}

TEST_CASE("matrix product: bits do not depend on threads, nor on low memory") {
  for (DType dtype : kFormats) {
    for (int n_threads : {1, 2, 3, 4}) compare(dtype, 70, 512, {1, 9}, "", n_threads);
    for (const char* isa : {"", "amx_plain"}) compare(dtype, 70, 512, {1, 9, 31}, isa, 2, true);
  }
}

TEST_CASE("matrix product: each token's result is that of the token alone") {
  const int64_t n_rows = 48, n_cols = 512, n = 40;
  for (const char* isa : {"", "amx_plain"})
    for (DType dtype : kFormats) {
      CAPTURE(std::string(format_info(dtype).text));
      CAPTURE(isa);
      const auto bytes = random_weight(dtype, n_rows, n_cols, 3);
      Runner cpu("cpu", isa, 2);
      const Weight w = cpu.load(source_of(bytes, dtype, n_rows, n_cols));
      const auto x = random_values(n * n_cols, 5);
      const auto together = product(cpu, w, {}, x, n);
      for (int64_t t = 0; t < n; ++t) {
        const std::vector<float> row(x.begin() + t * n_cols, x.begin() + (t + 1) * n_cols);
        const std::vector<float> expected(together.begin() + t * n_rows, together.begin() + (t + 1) * n_rows);
        CHECK(same_bits(product(cpu, w, {}, row, 1), expected));
      }
    }
}

TEST_CASE("matrix product: extreme levels and scales stay exact") {
  // All bits set, and all cleared, drive every integer sum to its ends.
  const int64_t n_rows = 16, n_cols = 512;
  for (const std::string& isa : test::isas_here())
    for (DType dtype : kFormats) {
      if (!format_info(dtype).is_quantized()) continue;
      for (const int fill : {0xFF, 0x00, 0x7F, 0x80}) {
        CAPTURE(std::string(format_info(dtype).text));
        CAPTURE(isa);
        CAPTURE(fill);
        auto bytes = random_weight(dtype, n_rows, n_cols, 3);
        const auto scales = bytes;
        const size_t block = format_info(dtype).block_bytes;
        for (std::byte& b : bytes) b = static_cast<std::byte>(fill);
        const size_t at = dtype == DType::q2_k ? 80 : dtype == DType::q3_k ? 108 : dtype == DType::q6_k ? 208 : 0;
        const bool two =
            dtype == DType::q2_k || dtype == DType::q4_k || dtype == DType::q5_k || dtype == DType::q4_1 || dtype == DType::q5_1;
        for (size_t i = 0; i < bytes.size(); i += block) std::memcpy(&bytes[i + at], &scales[i + at], two ? 4 : 2);
        const auto source = source_of(bytes, dtype, n_rows, n_cols);
        Runner reference("reference", "", 1), cpu("cpu", isa, 1);
        const Weight expected_w = reference.load(source), w = cpu.load(source);
        for (float value : {1.0f, -1.0f})
          for (int64_t n : {1, 16}) {
            const std::vector<float> x(static_cast<size_t>(n * n_cols), value);
            CHECK(same_bits(product(cpu, w, {}, x, n), product(reference, expected_w, {}, x, n)));
          }
      }
    }
}

TEST_CASE("matrix product: sums of sub-blocks at the limit of 16 bits") {
  // The first `run` values of each 16 or 32 are the largest there are: their sums fit 16 bits up to some run and not beyond it,
  // and a tile holds tokens of both kinds or of one.
  const int64_t n_rows = 40, n_cols = 512, n = 25;
  for (const std::string& isa : test::isas_here())
    for (DType dtype : {DType::q4_k, DType::q5_k, DType::q6_k})
      for (const bool full : {false, true}) {
        CAPTURE(std::string(format_info(dtype).text));
        CAPTURE(isa);
        auto bytes = random_weight(dtype, n_rows, n_cols, 4);
        if (full) {  // levels
          const size_t block = format_info(dtype).block_bytes, begin = dtype == DType::q6_k ? 0 : 16;
          for (size_t i = 0; i < bytes.size(); i += block)
            std::memset(&bytes[i + begin], 0xFF, dtype == DType::q6_k ? 192 : block - begin);
        }
        const auto source = source_of(bytes, dtype, n_rows, n_cols);
        Runner reference("reference", "", 1), cpu("cpu", isa, 1);
        const Weight expected_w = reference.load(source), w = cpu.load(source);
        for (const int run : {4, 5, 8, 9, 17, 18})
          for (const int apart : {1, 2, 8}) {  // tokens with such values
            CAPTURE(run);
            std::vector<float> x(static_cast<size_t>(n * n_cols));
            for (int64_t t = 0; t < n; ++t)
              for (int64_t i = 0; i < n_cols; ++i) {
                const bool largest = i % (run > 16 ? 32 : 16) < run && t % apart == 0;
                x[static_cast<size_t>(t * n_cols + i)] = !largest ? (i % 128 == 127 ? 1.0f : 0.0f) : t % 3 == 0 ? -1.0f : 1.0f;
              }
            CHECK(same_bits(product(cpu, w, {}, x, n), product(reference, expected_w, {}, x, n)));
          }
      }
}

TEST_CASE("matrix product: sums at the limit of exact f32 integers") {
  // Values of one sign and the largest levels and scales: up to some number of the largest values f32 holds the sums of a whole
  // group exactly, and beyond it only those of its parts; a pair of tiles holds tokens of both kinds or of one.
  const int64_t n_rows = 40, n_cols = 512, n = 41;
  for (const std::string& isa : test::isas_here())
    for (DType dtype : {DType::q4_k, DType::q5_k}) {
      CAPTURE(std::string(format_info(dtype).text));
      CAPTURE(isa);
      auto bytes = random_weight(dtype, n_rows, n_cols, 4);
      const size_t block = format_info(dtype).block_bytes;
      for (size_t i = 0; i < bytes.size(); i += block) std::memset(&bytes[i + 4], 0xFF, block - 4);
      const auto source = source_of(bytes, dtype, n_rows, n_cols);
      Runner reference("reference", "", 1), cpu("cpu", isa, 1);
      const Weight expected_w = reference.load(source), w = cpu.load(source);
      for (const int run : {60, 66, 67, 70, 130, 138, 139, 140, 256})
        for (const int apart : {1, 40}) {  // tokens with such values
          CAPTURE(run);
          std::vector<float> x(static_cast<size_t>(n * n_cols));
          for (int64_t t = 0; t < n; ++t)
            for (int64_t i = 0; i < n_cols; ++i) {
              // 127 steps, so that products are odd, beside one of 128.
              const float large = (i % 256 == 0 ? 1.0f : 127 / 128.25f) * (t % 3 == 0 ? -1.0f : 1.0f);
              x[static_cast<size_t>(t * n_cols + i)] = i % 256 < run && t % apart == 0 ? large : i % 256 == 255 ? 0.3f : 0.0f;
            }
          CHECK(same_bits(product(cpu, w, {}, x, n), product(reference, expected_w, {}, x, n)));
        }
    }
}

TEST_CASE("matrix product: bias and residual") {
  const int64_t n_rows = 40, n_cols = 256, n = 8;
  const auto bytes = random_weight(DType::q4_k, n_rows, n_cols, 1), bias_bytes = random_weight(DType::f32, 1, n_rows, 2);
  const auto source = source_of(bytes, DType::q4_k, n_rows, n_cols), bias_source = source_of(bias_bytes, DType::f32, 1, n_rows);
  Runner reference("reference", "", 1), cpu("cpu", "", 2);
  const Weight expected_w = reference.load(source), expected_bias = reference.load(bias_source, WeightUse::vector);
  const Weight w = cpu.load(source), bias = cpu.load(bias_source, WeightUse::vector);
  auto x = random_values(n * n_cols, 9);
  CHECK(same_bits(product(cpu, w, bias, x, n), product(reference, expected_w, expected_bias, x, n)));
  for (bool with_bias : {false, true}) {
    auto a = random_values(n * n_rows, 11), b = a;
    const Tensor in{x.data(), n, n_cols, n_cols};
    cpu.stream().linear_add({a.data(), n, n_rows, n_rows}, in, w, with_bias ? bias : Weight{});
    reference.stream().linear_add({b.data(), n, n_rows, n_rows}, in, expected_w, with_bias ? expected_bias : Weight{});
    CHECK(same_bits(a, b));
  }
}

TEST_CASE("matrix product: what a device cannot multiply is refused with the reason") {
  const std::vector<std::byte> bytes(1024);
  Runner cpu("cpu", "", 1);
  CHECK_THROWS_WITH_AS(cpu.load(source_of(bytes, DType::i32, 4, 8)), doctest::Contains("I32"), Error);
  DeviceOptions options;
  options.pool = std::make_shared<ThreadPool>(1);
  const auto runnable = cpu::runnable_isas();
  for (const char* isa : {"pentium", "avx2", "avx512", "avx512_bf16", "amx", "neon"}) {
    if (std::find(runnable.begin(), runnable.end(), isa) != runnable.end()) continue;
    options.isa = isa;
    CHECK_THROWS_WITH_AS(open_device("cpu", options), doctest::Contains("generic"), Error);  // says what there is
  }
}

}  // namespace
}  // namespace phial
