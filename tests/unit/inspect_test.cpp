// inspect: what it says about good, bad and hostile files, as text and as JSON.
#include "phial/inspect.h"

#include <cmath>
#include <set>

#include "base/json.h"
#include "formats/gguf.h"
#include "phial/convert.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

namespace {

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

/// "plain" [4, 256] F32 of `value`s with bad ones put in, and "blocks" [2, 64] Q8_0 with scale 1 and every weight 1.
void write_model(const std::string& path, std::vector<std::pair<size_t, float>> bad, float scale_bits_of_block_3 = 1) {
  Metadata m;
  m.set("general.name", std::string("tiny \x1b[31m\n\xff"));
  m.set("many", std::vector<int32_t>(100, 7));
  std::vector<float> plain(1024, 0.5f);
  for (const auto& [i, value] : bad) plain[i] = value;
  std::vector<std::byte> blocks;
  for (int b = 0; b < 4; ++b) {
    const uint16_t one = 0x3c00, infinity = 0x7c00;
    const uint16_t scale = b == 3 && std::isinf(scale_bits_of_block_3) ? infinity : one;
    blocks.push_back(static_cast<std::byte>(scale & 0xff));
    blocks.push_back(static_cast<std::byte>(scale >> 8));
    blocks.insert(blocks.end(), 32, std::byte{1});
  }
  GgufWriter w(path, m, {{"plain", DType::f32, {4, 256}}, {"blocks", DType::q8_0, {2, 64}}});
  w.write(bytes_of(plain));
  w.write(blocks);
  w.finish();
}

JsonTree inspect_json(InspectOptions o) {
  o.json = true;
  const std::string text = inspect(o);
  for (const char c : text) REQUIRE(((c >= 0x20 && c < 0x7f) || c == '\n'));
  return parse_json(text, "inspect");
}

InspectOptions of(const std::string& path, const std::string& diff = "") {
  InspectOptions o;
  o.path = path;
  o.diff = diff;
  return o;
}

}  // namespace

TEST_CASE("inspect counts, weighs and hashes") {
  TempFolder folder;
  write_model(folder / "m.gguf", {});
  InspectOptions o = of(folder / "m.gguf");
  o.hash = true;
  const JsonTree j = inspect_json(o);
  CHECK(j["format"] == "GGUF");
  CHECK(j["metadata"].size() == 2);
  CHECK(j["metadata"][1]["length"] == 100);
  CHECK(j["metadata"][1]["value"].size() == 8);
  REQUIRE(j["tensors"].size() == 2);
  CHECK(j["tensors"][0]["name"] == "plain");
  CHECK(j["tensors"][1]["shape"] == Json::array({2, 64}));
  CHECK(j["tensors"][1]["bytes"] == 136);
  CHECK(j["types"]["Q8_0"]["bits_per_weight"] == 8.5);
  CHECK(j["total"]["values"] == 1024 + 128);
  CHECK(j["total"]["bytes"] == 4096 + 136);
  CHECK(j["bad_blocks"] == 0);
  // XXH64, seed 0, of 1024 times 0.5f, by the xxhash library's one-call function.
  CHECK(j["tensors"][0]["xxh64"] == "8523a18fcd6831c9");
  o.tensors = o.hash = o.check = false;
  const JsonTree brief = inspect_json(o);
  CHECK_FALSE(brief.contains("tensors"));
  CHECK_FALSE(brief.contains("bad_blocks"));
}

TEST_CASE("inspect shows nothing that steers a terminal") {
  TempFolder folder;
  write_model(folder / "m.gguf", {});
  const std::string text = inspect(of(folder / "m.gguf"));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("tiny \\x1b[31m\\x0a\\xff") != std::string::npos);
  CHECK(text.find("[7, 7, 7, 7, 7, 7, 7, 7, ...] of 100") != std::string::npos);
}

TEST_CASE("inspect finds NaN and Inf in plain values and in block scales (B18)") {
  TempFolder folder;
  write_model(folder / "m.gguf", {{5, NAN}, {6, INFINITY}, {1023, -INFINITY}}, INFINITY);
  const JsonTree j = inspect_json(of(folder / "m.gguf"));
  CHECK(j["bad_blocks"] == 4);
  CHECK(j["tensors"][0]["bad_blocks"] == 3);
  CHECK(j["tensors"][1]["bad_blocks"] == 1);
  const std::string text = inspect(of(folder / "m.gguf"));
  CHECK(text.find("NaN or Inf in 3 blocks, first 5") != std::string::npos);
  CHECK(text.find("NaN or Inf in 1 blocks, first 3") != std::string::npos);
  InspectOptions strict = of(folder / "m.gguf");
  strict.strict = true;
  CHECK(code_of([&] { inspect(strict); }) == "NAN");
  write_model(folder / "good.gguf", {});
  strict.path = folder / "good.gguf";
  CHECK(code_of([&] { inspect(strict); }) == "none");
}

TEST_CASE("inspect tells two files apart") {
  TempFolder folder;
  write_model(folder / "a.gguf", {});
  write_model(folder / "b.gguf", {{3, 1.5f}, {4, 0.25f}});
  JsonTree j = inspect_json(of(folder / "a.gguf", folder / "b.gguf"));
  CHECK(j["identical_tensors"] == 1);
  CHECK(j["metadata"].empty());
  REQUIRE(j["tensors"].size() == 1);
  CHECK(j["tensors"][0]["name"] == "plain");
  CHECK(j["tensors"][0]["n_different"] == 2);
  CHECK(j["tensors"][0]["max_abs"] == 1.0);
  CHECK(j["tensors"][0]["rmse"].get<double>() == doctest::Approx(std::sqrt((1.0 + 0.0625) / 1024)));
  CHECK(j["tensors"][0]["relative"].get<double>() == doctest::Approx(std::sqrt((1.0 + 0.0625) / 256)));

  // Another type with the same values, another shape, another name, other metadata.
  Metadata m;
  m.set("many", std::vector<int32_t>(100, 8));
  m.set("new", true);
  GgufWriter w(folder / "c.gguf", m, {{"plain", DType::f16, {4, 256}}, {"blocks", DType::f32, {64}}, {"other", DType::i8, {1}}});
  w.write(bytes_of(std::vector<uint16_t>(1024, 0x3800)));
  w.write(bytes_of(std::vector<float>(64, 1)));
  w.write(bytes_of(std::vector<int8_t>(1, 1)));
  w.finish();
  j = inspect_json(of(folder / "a.gguf", folder / "c.gguf"));
  std::set<std::string> seen;
  for (const Json& row : j["tensors"]) seen.insert(row["what"].get<std::string>() + " " + row["name"].get<std::string>());
  CHECK(seen == std::set<std::string>{"values plain", "differs blocks", "only in b other"});
  CHECK(j["tensors"][1]["what"] == "only in b");
  for (const Json& row : j["tensors"])
    if (row["name"] == "plain") CHECK(row["n_different"] == 0);
  seen.clear();
  for (const Json& row : j["metadata"]) seen.insert(row["what"].get<std::string>() + " " + row["key"].get<std::string>());
  CHECK(seen == std::set<std::string>{"only in a general.name", "differs many", "only in b new"});
  CHECK(inspect(of(folder / "a.gguf", folder / "c.gguf")).find("0 values differ") != std::string::npos);
}

TEST_CASE("inspect compares the tensors with the architecture's table") {
  const JsonTree j = inspect_json(of(PHIAL_SOURCE_DIR "/models/phial-tiny"));
  CHECK(j["format"] == "safetensors");
  CHECK(j["model"]["expected"] == 51);
  CHECK(j["model"]["missing"].empty());
  CHECK(j["model"]["unexpected"].empty());
  CHECK(j["model"]["wrong_shape"].empty());
  // In GGUF the rope factors are tensors of their own.
  TempFolder folder;
  ConvertOptions convert_options;
  convert_options.input = PHIAL_SOURCE_DIR "/models/phial-tiny";
  convert_options.output = folder / "tiny.gguf";
  convert(convert_options);
  const JsonTree converted = inspect_json(of(folder / "tiny.gguf"));
  CHECK(converted["model"]["expected"] == 53);
  CHECK(converted["model"]["missing"].empty());
  CHECK(converted["model"]["unexpected"].empty());
  CHECK(inspect(of(folder / "tiny.gguf")).find("53 tensors known, all there with the right shapes") != std::string::npos);

  Metadata m;
  m.set("general.architecture", std::string("no such thing"));
  GgufWriter w(folder / "m.gguf", m, {{"t", DType::i8, {0}}});
  w.finish();
  const JsonTree unknown = inspect_json(of(folder / "m.gguf"));
  CHECK(unknown["model"]["problem"].get<std::string>().find("UNSUPPORTED") == 0);
}

TEST_CASE("inspect opens by content and refuses what it does not know") {
  TempFolder folder;
  CHECK(code_of([&] { inspect(of(folder / "absent")); }) == "NOTFOUND");
  CHECK(code_of([&] { inspect(of(folder.path())); }) == "NOTFOUND");
  write_bytes(folder / "t", "some text that is long enough");
  CHECK(code_of([&] { inspect(of(folder / "t")); }) == "MAGIC");
  write_bytes(folder / "s", Bytes().text("{}").data);
  CHECK(inspect_json(of(folder / "s"))["format"] == "safetensors");
}
