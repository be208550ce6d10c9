// The pipeline through its C++ interface: cancelling, full disks, and what it promises about files.
#include <doctest/doctest.h>

#include <cerrno>
#include <cmath>

#include "base/file.h"
#include "formats/gguf.h"
#include "phial/quantize.h"
#include "quant/codec.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

namespace {

std::string write_model(const TempFolder& folder, int64_t rows = 96) {
  const std::string path = folder / "in.gguf";
  Metadata metadata;
  metadata.set("general.architecture", std::string("phi3"));
  metadata.set("phi3.block_count", uint32_t{1});
  const std::vector<GgufTensorPlan> plan{{"token_embd.weight", DType::f32, {rows, 256}},
                                         {"output_norm.weight", DType::f32, {256}},
                                         {"blk.0.ffn_up.weight", DType::bf16, {rows, 512}},
                                         {"blk.0.none.weight", DType::f32, {0, 256}}};
  GgufWriter writer(path, metadata, plan);
  float phase = 0;
  for (const GgufTensorPlan& t : plan) {
    std::vector<float> values;
    for (uint64_t i = 0; i < t.n_bytes() / format_info(t.dtype).block_bytes; ++i) values.push_back(std::sin(phase += 0.7f));
    std::vector<std::byte> bytes(t.n_bytes());
    codec(t.dtype).encode(values.data(), bytes.data(), static_cast<int64_t>(values.size()), nullptr);
    writer.write(bytes);
  }
  writer.finish();
  return path;
}

QuantizeOptions options(const std::string& in, const std::string& out, const char* type) {
  QuantizeOptions o;
  o.input = in;
  o.output = out;
  o.type = type;
  o.n_threads = 2;
  return o;
}

}  // namespace

TEST_CASE("a report, a line per tensor, bytes that add up") {
  TempFolder folder;
  const std::string in = write_model(folder);
  std::vector<std::string> lines;
  uint64_t last = 0, total = 0;
  const QuantizeReport r = quantize(options(in, folder / "out.gguf", "Q4_K_M"), [&](const Progress& p) {
    if (!p.note.empty()) lines.push_back(p.note);
    CHECK(p.done >= last);
    last = p.done;
    total = p.total;
    return true;
  });
  CHECK(lines.size() == 4);
  CHECK(last == total);
  CHECK(r.bytes_before == read_bytes(in).size());
  CHECK(r.bytes_after == read_bytes(folder / "out.gguf").size());
  CHECK(r.n_parameters == 96 * 256 + 256 + 96 * 512);
  CHECK(r.n_fallbacks == 0);
  const GgufFile out = GgufFile::open(folder / "out.gguf");
  CHECK(out.find("token_embd.weight")->dtype == DType::q6_k);  // the output is tied to it
  CHECK(out.find("blk.0.ffn_up.weight")->dtype == DType::q4_k);
  CHECK(out.metadata().integer("general.file_type") == 15);
  QuantizeOptions dry = options(in, folder / "dry.gguf", "Q4_K_M");
  dry.dry_run = true;
  CHECK(quantize(dry).bytes_after == r.bytes_after);
  CHECK(folder.n_entries() == 2);
}

TEST_CASE("cancelling leaves no file") {
  TempFolder folder;
  const std::string in = write_model(folder);
  for (int at = 0; at < 4; ++at) {
    int calls = 0;
    CHECK(code_of([&] { quantize(options(in, folder / "out.gguf", "Q8_0"), [&](const Progress&) { return calls++ < at; }); }) ==
          "CANCELLED");
    CHECK(folder.n_entries() == 1);
  }
}

TEST_CASE("a write that fails, whichever it is, leaves the old file") {
  TempFolder folder;
  const std::string in = write_model(folder);
  const std::string out = folder / "out.gguf";
  write_bytes(out, "old");
  uint64_t n_writes = 0;
  AtomicFile::fault_hook = [&](uint64_t k) {
    n_writes = std::max(n_writes, k);
    return 0;
  };
  quantize(options(in, folder / "other.gguf", "Q4_0"));
  for (int error : {ENOSPC, EIO})
    for (uint64_t bad = 0; bad <= n_writes; ++bad) {
      AtomicFile::fault_hook = [=](uint64_t k) { return k == bad ? -error : 0; };
      CHECK(code_of([&] { quantize(options(in, out, "Q4_0")); }) == "IO");
      CHECK(read_bytes(out) == "old");
      CHECK(folder.n_entries() == 3);
    }
  AtomicFile::fault_hook = nullptr;
}

TEST_CASE("every type in the list can be asked for") {
  TempFolder folder;
  const std::string in = write_model(folder, 4);
  for (const MixInfo& mix : quantization_mixes()) {
    if (mix.name == "Q2_K_S") continue;  // needs an importance matrix
    CAPTURE(mix.name);
    quantize(options(in, folder / "out.gguf", mix.name.c_str()));
    CHECK(GgufFile::open(folder / "out.gguf").tensors().size() == 4);
  }
}
