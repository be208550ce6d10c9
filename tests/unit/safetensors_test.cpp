// safetensors: good files and folders, the corpus of bad ones with exact codes, every prefix, every flipped bit.
#include "formats/safetensors.h"

#include <fmt/core.h>

#include <random>
#include <set>

#include "test_files.h"

using namespace phial;
using namespace phial::test;
namespace fs = std::filesystem;

namespace {

std::string file_bytes(std::string_view header, size_t n_data) { return Bytes().text(header).raw(std::string(n_data, 'd')).data; }

const std::string kGood =
    R"({"__metadata__":{"format":"pt","k":"v"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]},"c":{"dtype":"I64","shape":[1],"data_offsets":[26,34]}}   )";

void use(const SafetensorsFile& file) {
  std::vector<std::byte> bytes;
  for (const TensorEntry& tensor : file.tensors()) {
    REQUIRE(tensor.n_bytes < (1u << 30));
    bytes.resize(static_cast<size_t>(tensor.n_bytes));
    if (!tensor.foreign_type) file.read(tensor, 0, bytes);
    REQUIRE(file.find(tensor.name) == &tensor);
  }
}

std::string open_code(const std::string& bytes) {
  static TempFolder folder;
  write_bytes(folder / "f.safetensors", bytes);
  return code_of([&] { use(SafetensorsFile::open(folder / "f.safetensors")); });
}

std::string header_code(std::string_view header, size_t n_data = 16) { return open_code(file_bytes(header, n_data)); }

std::string tensor_json(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"("dtype":{},"shape":{},"data_offsets":{})", dtype, shape, offsets);
}
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"t":{{{}}}}})", tensor_json(dtype, shape, offsets));
}
std::string two(std::string_view name_a, std::string_view a, std::string_view name_b, std::string_view b) {
  return fmt::format(R"({{"{}":{{{}}},"{}":{{{}}}}})", name_a, a, name_b, b);
}

std::string folder_code(const std::string& path) {
  return code_of([&] { use(SafetensorsFile::open_folder(path)); });
}

}  // namespace

TEST_CASE("a safetensors file gives its tensors") {
  TempFolder folder;
  write_bytes(folder / "m.safetensors", file_bytes(kGood, 34));
  const SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  use(file);
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.header_metadata()["format"] == "pt");
  const TensorEntry* a = file.find("a");
  REQUIRE(a);
  CHECK(a->dtype == DType::f32);
  CHECK(a->shape == std::vector<int64_t>{2, 3});
  CHECK(a->offset == 8 + kGood.size());
  CHECK(file.find("b")->shape.empty());
  CHECK(file.find("b")->n_values() == 1);
  CHECK(file.find("c")->n_bytes == 8);
  CHECK(header_code("{}", 0) == "none");
}

TEST_CASE("types Phial cannot compute with are listed and only their use is refused") {
  TempFolder folder;
  const std::string header =
      R"({"mask":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"w":{"dtype":"F16","shape":[2],"data_offsets":[16,20]}})";
  write_bytes(folder / "m.safetensors", file_bytes(header, 20));
  const SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  std::byte bytes[4];
  file.read(*file.find("w"), 0, bytes);
  const std::string message = message_of([&] { file.read(*file.find("mask"), 0, bytes); });
  CHECK(code_of([&] { file.read(*file.find("mask"), 0, bytes); }) == "UNSUPPORTED");
  CHECK(message.find("U8") != std::string::npos);
  CHECK(message.find("mask") != std::string::npos);
  for (const char* dtype : {"BOOL", "F8_E4M3", "F8_E5M2", "U16", "U32", "U64"})
    CHECK(header_code(one(fmt::format("\"{}\"", dtype), "[0]", "[0,0]"), 0) == "none");
}

TEST_CASE("damaged headers give their code") {
  struct Case {
    std::string what, bytes, code;
  };
  const auto with_length = [](uint64_t n, std::string_view rest) { return Bytes().put(n).raw(rest).data; };
  const std::string good = one(R"("F32")", "[4]", "[0,16]"), data(16, 'd');
  const Case cases[] = {
      {"good", file_bytes(good, 16), "none"},
      {"C01 length 0", with_length(0, good + data), "HEADER"},
      {"C01 length 1", with_length(1, "{}" + data), "HEADER"},
      {"C01 length 2^63", with_length(1ull << 63, good + data), "HEADER"},
      {"C01 length 2^64-1", with_length(UINT64_MAX, good + data), "HEADER"},
      {"C01 length 100000001", with_length(100'000'001, good + data), "HEADER"},
      {"C01 length one beyond the file", with_length(good.size() + 17, good + data), "HEADER"},
      {"C02 not an object", file_bytes("[1,2,3]", 0), "JSON"},
      {"C02 space first", file_bytes(" {}", 0), "JSON"},
      {"C02 invalid UTF-8", file_bytes("{\"a\xff\":{}}", 0), "JSON"},
      {"C02 NUL", file_bytes(std::string_view("{}\0\0", 4), 0), "JSON"},
      {"C02 trailing JSON", file_bytes(good + "{}", 16), "JSON"},
      {"C02 nested arrays", file_bytes("{\"a\":" + std::string(100'000, '['), 16), "JSON"},
      {"C02 nested objects", file_bytes(R"({"a":{"dtype":{"x":{}}}})", 16), "JSON"},
      {"C02 cut", file_bytes(good.substr(0, good.size() - 1), 16), "JSON"},
      {"C02 array at the top level", file_bytes(R"({"a":[]})", 0), "JSON"},
      {"C02 null", file_bytes(R"({"a":null})", 0), "JSON"},
      {"C03 product wraps", file_bytes(one(R"("F32")", "[4194305,4194305,211106198978564]", "[0,16]"), 16), "OVERFLOW"},
      {"C03 dimension 2^64-1", file_bytes(one(R"("F32")", "[18446744073709551615]", "[0,16]"), 16), "OVERFLOW"},
      {"C04 shape larger than the data", file_bytes(one(R"("F32")", "[1000000]", "[0,4]"), 4), "OFFSET"},
      {"C04 shape smaller than the data", file_bytes(one(R"("F32")", "[3]", "[0,16]"), 16), "OFFSET"},
      {"C05 begin > end", file_bytes(one(R"("F32")", "[4]", "[16,0]"), 16), "OFFSET"},
      {"C05 one offset", file_bytes(one(R"("F32")", "[4]", "[0]"), 16), "OFFSET"},
      {"C05 three offsets", file_bytes(one(R"("F32")", "[4]", "[0,16,16]"), 16), "OFFSET"},
      {"C05 end 2^64-1", file_bytes(one(R"("F32")", "[4]", "[0,18446744073709551615]"), 16), "OFFSET"},
      {"C05 both near 2^64", file_bytes(one(R"("F32")", "[4]", "[18446744073709551599,18446744073709551615]"), 16), "OFFSET"},
      {"C06 same bytes",
       file_bytes(two("a", tensor_json(R"("F32")", "[4]", "[0,16]"), "b", tensor_json(R"("F32")", "[4]", "[0,16]")), 16),
       "OVERLAP"},
      {"C06 overlap",
       file_bytes(two("a", tensor_json(R"("F32")", "[3]", "[0,12]"), "b", tensor_json(R"("F32")", "[2]", "[8,16]")), 16),
       "OVERLAP"},
      {"C06 hole at the start", file_bytes(one(R"("F32")", "[3]", "[4,16]"), 16), "HOLE"},
      {"C06 hole between",
       file_bytes(two("a", tensor_json(R"("F32")", "[1]", "[0,4]"), "b", tensor_json(R"("F32")", "[2]", "[8,16]")), 16), "HOLE"},
      {"C06 trailing bytes", file_bytes(good, 17), "HOLE"},
      {"C06 data without tensors", file_bytes("{}", 1), "HOLE"},
      {"C07 empty tensor at another's bytes",
       file_bytes(two("a", tensor_json(R"("F32")", "[4]", "[0,16]"), "b", tensor_json(R"("F32")", "[0,5]", "[8,8]")), 16),
       "none"},
      {"C07 empty tensor with huge other dimensions",
       file_bytes(two("a", tensor_json(R"("F32")", "[4]", "[0,16]"), "b",
                      tensor_json(R"("F32")", "[4611686018427387904,4611686018427387904,0]", "[8,8]")),
                  16),
       "none"},
      {"C07 empty tensor beyond the file",
       file_bytes(two("a", tensor_json(R"("F32")", "[4]", "[0,16]"), "b", tensor_json(R"("F32")", "[0]", "[99,99]")), 16),
       "TRUNC"},
      {"C08 same name",
       file_bytes(two("a", tensor_json(R"("F32")", "[4]", "[0,16]"), "a", tensor_json(R"("I32")", "[4]", "[0,16]")), 16), "DUP"},
      {"C08 same field", file_bytes(fmt::format(R"({{"a":{{"dtype":"I32",{}}}}})", tensor_json(R"("F32")", "[4]", "[0,16]")), 16),
       "DUP"},
      {"C08 metadata twice", file_bytes(R"({"__metadata__":{},"__metadata__":{}})", 0), "DUP"},
      {"C08 metadata key twice", file_bytes(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "DUP"},
      {"C09 dimension -1", file_bytes(one(R"("F32")", "[-1]", "[0,16]"), 16), "JSON"},
      {"C09 dimension 1.5", file_bytes(one(R"("F32")", "[1.5]", "[0,16]"), 16), "JSON"},
      {"C09 dimension 1e3", file_bytes(one(R"("F32")", "[1e3]", "[0,16]"), 16), "JSON"},
      {"C09 dimension text", file_bytes(one(R"("F32")", R"(["8"])", "[0,16]"), 16), "JSON"},
      {"C09 dimension true", file_bytes(one(R"("F32")", "[true]", "[0,16]"), 16), "JSON"},
      {"C09 dimension nested", file_bytes(one(R"("F32")", "[[4]]", "[0,16]"), 16), "JSON"},
      {"C09 shape a number", file_bytes(one(R"("F32")", "4", "[0,16]"), 16), "JSON"},
      {"C09 dtype F33", file_bytes(one(R"("F33")", "[4]", "[0,16]"), 16), "JSON"},
      {"C09 dtype a number", file_bytes(one("3", "[4]", "[0,16]"), 16), "JSON"},
      {"C09 offsets negative", file_bytes(one(R"("F32")", "[4]", "[-16,0]"), 16), "JSON"},
      {"C09 unknown field", file_bytes(fmt::format(R"({{"a":{{"extra":1,{}}}}})", tensor_json(R"("F32")", "[4]", "[0,16]")), 16),
       "JSON"},
      {"C09 field missing", file_bytes(R"({"a":{"dtype":"F32","shape":[4]}})", 16), "JSON"},
      {"C09 metadata not text", file_bytes(R"({"__metadata__":{"a":1}})", 0), "JSON"},
      {"C09 metadata nested", file_bytes(R"({"__metadata__":{"a":{}}})", 0), "JSON"},
      {"17 dimensions", file_bytes(one(R"("F32")", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4), "NDIMS"},
      {"data cut", file_bytes(good, 15), "TRUNC"},
      {"C12 zip", "PK\x03\x04" + std::string(100, 'x'), "FORMAT"},
      {"C12 pickle", "\x80\x02}q" + std::string(100, 'x'), "FORMAT"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(open_code(c.bytes) == c.code);
  }
}

TEST_CASE("a header whose length begins like a pickle or a zip is a header") {
  for (const size_t length : {0x010280u, 0x04034b50u}) {
    std::string header = "{}";
    header.resize(length, ' ');
    CHECK(header_code(header, 0) == "none");
  }
}

TEST_CASE("random damage gives an error or a whole file") {
  std::mt19937_64 random(11);
  const std::string good = file_bytes(kGood, 34);
  for (int i = 0; i < 5000; ++i) {
    const std::string bytes = damaged(good, random);
    CAPTURE(i);
    CHECK(open_code(bytes) != "INTERNAL");
  }
}

TEST_CASE("every prefix is an error, every flipped bit an error or a whole file") {
  const std::string good = file_bytes(kGood, 34);
  REQUIRE(open_code(good) == "none");
  const std::set<std::string> cut_codes{"TRUNC", "HEADER"};
  for (size_t n = 0; n < good.size(); ++n) {
    CAPTURE(n);
    CHECK(cut_codes.count(open_code(good.substr(0, n))) == 1);
  }
  size_t n_accepted = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    n_accepted += open_code(bad) == "none";
  }
  CHECK(n_accepted >= 34 * 8);
  CHECK(n_accepted < good.size() * 8 / 2);
  on_small_stack([&] { CHECK(open_code(good) == "none"); });
}

TEST_CASE("checkpoint folders: single, sharded, and what is refused") {
  TempFolder folder;
  const auto shard = [&](const char* name, const char* tensor) {
    write_bytes(folder / name,
                file_bytes(fmt::format(R"({{"{}":{{{}}}}})", tensor, tensor_json(R"("F32")", "[4]", "[0,16]")), 16));
  };
  const auto index = [&](const std::string& map) {
    write_bytes(folder / "model.safetensors.index.json",
                fmt::format(R"({{"metadata":{{"total_size":32}},"weight_map":{}}})", map));
  };
  CHECK(folder_code(folder / "absent") == "NOTFOUND");
  CHECK(folder_code(folder.path()) == "NOTFOUND");
  write_bytes(folder / "pytorch_model.bin", "PK");
  CHECK(folder_code(folder.path()) == "FORMAT");  // C12
  CHECK(folder_code(folder / "pytorch_model.bin") == "NOTFILE");

  shard("m-00001-of-00002.safetensors", "a");
  shard("m-00002-of-00002.safetensors", "b");
  index(R"({"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"})");
  CHECK(folder_code(folder.path()) == "none");
  const SafetensorsFile both = SafetensorsFile::open_folder(folder.path());
  CHECK(both.files().size() == 2);
  CHECK(both.tensors().size() == 2);
  CHECK(both.where(*both.find("b")) == "m-00002-of-00002.safetensors");

  SUBCASE("the index lies") {
    index(R"({"a":"m-00002-of-00002.safetensors","b":"m-00002-of-00002.safetensors"})");
    CHECK(folder_code(folder.path()) == "TENSOR");
    index(R"({"a":"m-00001-of-00002.safetensors","b":"m-00001-of-00002.safetensors"})");
    CHECK(folder_code(folder.path()) == "TENSOR");
    index(R"({"a":"m-00001-of-00002.safetensors","b":"m-00003.safetensors"})");
    CHECK(folder_code(folder.path()) == "NOTFOUND");
    index(R"({"a":1})");
    CHECK(folder_code(folder.path()) == "JSON");
    index("{}");
    CHECK(folder_code(folder.path()) == "JSON");
    index("[]");
    CHECK(folder_code(folder.path()) == "JSON");
    index(R"({"a":"m-00001-of-00002.safetensors","a":"m-00002-of-00002.safetensors"})");
    CHECK(folder_code(folder.path()) == "DUP");
    write_bytes(folder / "model.safetensors.index.json", "[]");
    CHECK(folder_code(folder.path()) == "JSON");
    shard("m-00002-of-00002.safetensors", "a");
    index(R"({"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"})");
    CHECK(folder_code(folder.path()) == "DUP");
  }
  SUBCASE("shard names that leave the folder (C10)") {
    for (const char* name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "", "a\\\\b", "a\\u0000b"}) {
      CAPTURE(name);
      index(fmt::format(R"({{"a":"{}"}})", name));
      CHECK(folder_code(folder.path()) == "PATH");
    }
  }
  SUBCASE("links out of the folder (C10)") {
    TempFolder elsewhere;
    fs::rename(folder / "m-00002-of-00002.safetensors", elsewhere / "b.safetensors");
    fs::create_symlink(elsewhere / "b.safetensors", folder / "m-00002-of-00002.safetensors");
    CHECK(folder_code(folder.path()) == "PATH");
  }
  SUBCASE("the layout of the Hub's cache: links to blobs") {
    TempFolder hub;
    fs::create_directories(hub / "blobs");
    fs::create_directories(hub / "snapshots/abc");
    for (const char* name : {"m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors", "model.safetensors.index.json"}) {
      fs::copy_file(folder / name, hub / (std::string("blobs/") + name));
      fs::create_symlink(std::string("../../blobs/") + name, hub / (std::string("snapshots/abc/") + name));
    }
    CHECK(folder_code(hub / "snapshots/abc") == "none");
  }
  SUBCASE("a single file is preferred, as elsewhere") {
    shard("model.safetensors", "only");
    CHECK(SafetensorsFile::open_folder(folder.path()).find("only") != nullptr);
  }
}

TEST_CASE("the checkpoint that Phial carries opens") {
  const SafetensorsFile file = SafetensorsFile::open_folder(PHIAL_SOURCE_DIR "/models/phial-tiny");
  CHECK(file.tensors().size() == 51);
  use(file);
}
