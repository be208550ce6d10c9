// The converter inside the process: fixtures to every mix, reports, cancelling, and files that only just fit.
#include "phial/convert.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/fail.h"
#include "convert/general_metadata.h"
#include "convert/tensor_stream.h"
#include "formats/gguf.h"
#include "quant/codec.h"
#include "quant/recipe.h"

using namespace phial;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(PHIAL_SOURCE_DIR) / "tests/fixtures/models";

struct TempFolder {
  fs::path path;
  explicit TempFolder(const char* name)
      : path(fs::temp_directory_path() / (std::string("phial-convert-") + name + "-" + std::to_string(getpid()))) {
    fs::create_directories(path);
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

std::vector<std::byte> bytes_of(const GgufFile& file, const std::string& name) {
  const TensorEntry* t = file.find(name);
  REQUIRE(t);
  std::vector<std::byte> out(t->n_bytes);
  file.read(*t, 0, out);
  return out;
}

ConvertOptions options_for(const char* fixture, const fs::path& out, const char* outtype) {
  ConvertOptions o;
  o.input = (kModels / fixture).string();
  o.output = out.string();
  o.outtype = outtype;
  o.n_threads = 2;
  return o;
}

}  // namespace

TEST_CASE("convert: every fixture, read back by the model's own checks") {
  TempFolder folder("all");
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    const fs::path out = folder.path / (name + ".gguf");
    const ConvertReport report = convert(options_for(name.c_str(), out, "f32"));
    CHECK(report.n_bytes == fs::file_size(out));
    const GgufFile file = GgufFile::open(out.string());
    const Architecture& arch = architecture_by_gguf(file.metadata().text("general.architecture"));
    const Config config = arch.from_metadata(file.metadata());
    const Config source = open_checkpoint(entry.path().string()).config;
    CHECK(config.vocab_size == source.vocab_size);
    CHECK(config.sliding_window == source.sliding_window);
    CHECK(config.rope.attention_factor == doctest::Approx(source.rope.attention_factor).epsilon(1e-6));
    uint64_t n_parameters = 0;
    for (const ExpectedTensor& t : expected_tensors(arch, source)) {
      const TensorEntry* found = file.find(t.gguf);
      REQUIRE(found);
      CHECK(found->shape == t.shape);
      if (!t.hf.empty()) n_parameters += found->n_values();
    }
    CHECK(report.n_parameters == n_parameters);
  }
}

TEST_CASE("convert: every mix gives what its codec makes of the F32 values") {
  TempFolder folder("mixes");
  convert(options_for("mistral", folder.path / "f32.gguf", "f32"));
  const GgufFile plain = GgufFile::open((folder.path / "f32.gguf").string());
  for (const char* mix : {"F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S",
                          "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"}) {
    CAPTURE(std::string(mix));
    const fs::path out = folder.path / "x.gguf";
    convert(options_for("mistral", out, mix));
    const GgufFile file = GgufFile::open(out.string());
    CHECK(file.metadata().integer("general.file_type") == mix_row(parse_mix(mix)).ftype);
    REQUIRE(file.tensors().size() == plain.tensors().size());
    for (const TensorEntry& t : file.tensors()) {
      const std::vector<std::byte> values = bytes_of(plain, t.name), got = bytes_of(file, t.name);
      std::vector<std::byte> want(got.size());
      const uint64_t row = row_bytes(t.dtype, static_cast<uint64_t>(t.row_length()));
      for (uint64_t i = 0; i < t.n_rows(); ++i)
        codec(t.dtype).encode(reinterpret_cast<const float*>(values.data()) + i * static_cast<uint64_t>(t.row_length()),
                              want.data() + i * row, t.row_length(), nullptr);
      CHECK(got == want);
    }
  }
}

TEST_CASE("convert: a false answer of the progress function stops it and leaves no file") {
  TempFolder folder("cancel");
  int n_calls = 0;
  const fs::path out = folder.path / "x.gguf";
  try {
    convert(options_for("llama3", out, "q4_0"), [&](const Progress& p) {
      CHECK(p.what == "convert");
      CHECK(p.done <= p.total);
      return ++n_calls < 5;
    });
    FAIL("not cancelled");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::cancelled);
  }
  CHECK(n_calls == 5);
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("convert: a tensor of several windows, permuted, is the permuted tensor") {
  // 3 heads of 4 rows; columns so many that a window holds only some of the rows.
  constexpr int64_t kCols = 3 << 20, kRows = 12;
  TempFolder folder("windows");
  const std::string header = R"({"w":{"dtype":"BF16","shape":[12,3145728],"data_offsets":[0,75497472]}})";
  const fs::path path = folder.path / "model.safetensors";
  {
    AtomicFile file(path.string());
    const uint64_t n = header.size();
    file.write(std::as_bytes(std::span(&n, 1)));
    file.write(std::as_bytes(std::span(header)));
    std::vector<uint16_t> row(kCols);
    for (int64_t r = 0; r < kRows; ++r) {
      std::fill(row.begin(), row.end(), f32_to_bf16(static_cast<float>(r)));
      file.write(std::as_bytes(std::span(row)));
    }
    file.commit();
  }
  const SafetensorsFile file = SafetensorsFile::open(path.string());
  ThreadPool pool(2);
  TensorStream stream(file, pool, 4);
  TensorSpec spec{"w", "w", Role::matrix, nullptr, Transform::permute_q};
  SourceTensor tensor;
  tensor.expected = {"w", "w", {kRows, kCols}, &spec, -1};
  tensor.entry = file.find("w");
  for (DType dtype : {DType::bf16, DType::q8_0}) {
    std::vector<float> firsts;
    uint64_t at = 0;
    const uint64_t row = row_bytes(dtype, kCols);
    size_t n_pieces = 0;
    stream.copy(
        tensor, dtype,
        [&](std::span<const std::byte> bytes) {
          REQUIRE(bytes.size() % row == 0);
          for (uint64_t i = 0; i < bytes.size(); i += row) {
            float block[32];
            codec(dtype).decode(bytes.data() + i, block, 32);
            firsts.push_back(block[0]);
          }
          at += bytes.size();
          ++n_pieces;
        },
        [](uint64_t) {});
    CHECK(at == row * kRows);
    CHECK(n_pieces > 1);
    const std::vector<float> want{0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11};
    REQUIRE(firsts.size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) CHECK(firsts[i] == doctest::Approx(want[i]).epsilon(1e-3));
  }
}

TEST_CASE("size labels") {
  CHECK(size_label(3'821'079'552) == "3.8B");
  CHECK(size_label(14'659'507'200) == "15B");
  CHECK(size_label(8'900'000) == "8.9M");
  CHECK(size_label(135'000'000) == "135M");
  CHECK(size_label(9'960'000'000) == "10B");
  CHECK(size_label(107'000) == "107K");
}
