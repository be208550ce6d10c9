// Hostile and damaged GGUF files: each case of the corpus with its exact error code, every prefix, every flipped bit.
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <random>
#include <set>

#include "formats/gguf.h"
#include "base/fail.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;
namespace fs = std::filesystem;

namespace {

enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

/// A GGUF file from its parts; counts may lie.
struct Raw {
  uint32_t magic = 0x46554747, version = 3;
  std::vector<std::string> keys, tensors;
  std::optional<uint64_t> n_tensors, n_keys;
  std::string data;
  uint64_t alignment = 32;

  Raw& key(std::string_view name, uint32_t type, const Bytes& value) {
    keys.push_back(Bytes().text(name).put(type).raw(value.data).data);
    return *this;
  }
  Raw& u32(std::string_view name, uint32_t value) { return key(name, kU32, Bytes().put(value)); }
  Raw& array(std::string_view name, uint32_t type, uint64_t n, const Bytes& values) {
    return key(name, kArray, Bytes().put(type).put(n).raw(values.data));
  }
  Raw& tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    Bytes b;
    b.text(name).put(static_cast<uint32_t>(dims.size()));
    for (uint64_t d : dims) b.put(d);
    tensors.push_back(b.put(type).put(offset).data);
    return *this;
  }
  Raw& with_data(size_t n, char c = 'd') {
    data.assign(n, c);
    return *this;
  }
  std::string bytes() const {
    Bytes b;
    b.put(magic).put(version).put(n_tensors.value_or(tensors.size())).put(n_keys.value_or(keys.size()));
    for (const auto& k : keys) b.raw(k);
    for (const auto& t : tensors) b.raw(t);
    if (!data.empty() || !tensors.empty()) b.data.resize((b.data.size() + alignment - 1) / alignment * alignment);
    return b.raw(data).data;
  }
};

Raw small_file(uint32_t version = 3) {
  Raw f;
  f.version = version;
  f.key("general.architecture", kString, Bytes().text("tiny"));
  f.key("a.bool", kBool, Bytes().put<uint8_t>(1));
  f.array("a.texts", kString, 2, Bytes().text("x").text(""));
  f.array("a.reals", kF32, 2, Bytes().put(1.0f).put(2.0f));
  f.tensor("one", {32, 2}, 2, 0).tensor("two", {3}, 0, 64).tensor("three", {}, 30, 96).with_data(98);
  return f;
}

/// Opens, looks at everything, reads every byte.
void open_and_use(const std::string& path) {
  const GgufFile file = GgufFile::open(path);
  size_t n_keys = 0;
  for (const auto& [key, value] : file.metadata().entries()) n_keys += value.index() + key.size();
  std::vector<std::byte> bytes;
  for (const TensorEntry& tensor : file.tensors()) {
    REQUIRE(tensor.n_bytes < (1u << 30));
    bytes.resize(static_cast<size_t>(tensor.n_bytes));
    file.read(tensor, 0, bytes);
    REQUIRE(file.find(tensor.name) == &tensor);
  }
}

std::string open_code(const std::string& bytes) {
  static TempFolder folder;
  write_bytes(folder / "f.gguf", bytes);
  return code_of([&] { open_and_use(folder / "f.gguf"); });
}
std::string open_code(const Raw& raw) { return open_code(raw.bytes()); }
std::string open_message(const std::string& bytes) {
  TempFolder folder;
  write_bytes(folder / "f.gguf", bytes);
  return message_of([&] { open_and_use(folder / "f.gguf"); });
}

constexpr uint64_t kMax = UINT64_MAX;

struct Case {
  std::string what;
  Raw raw;
  std::string code;
};

Raw with_key(uint32_t type, const Bytes& value) { return Raw().key("k", type, value); }
Raw with_array(uint32_t type, uint64_t n, const Bytes& values = {}) { return Raw().array("k", type, n, values); }
Raw with_raw_key(const Bytes& bytes) {
  Raw f;
  f.keys.push_back(bytes.data);
  return f;
}
Raw with_tensor(std::vector<uint64_t> dims, uint32_t type = 0, uint64_t offset = 0) {
  return Raw().tensor("t", std::move(dims), type, offset).with_data(64);
}
Raw with_raw_tensor(const Bytes& bytes) {
  Raw f;
  f.tensors.push_back(bytes.data);
  return f.with_data(64);
}
Raw with_counts(std::optional<uint64_t> n_tensors, std::optional<uint64_t> n_keys) {
  Raw f = small_file();
  f.n_tensors = n_tensors;
  f.n_keys = n_keys;
  return f;
}
Raw with_version(uint32_t version) { return small_file(version); }

}  // namespace

TEST_CASE("the good files of this test are good") {
  CHECK(open_code(small_file(3)) == "none");
  CHECK(open_code(small_file(2)) == "none");
  CHECK(open_code(Raw()) == "none");
  Raw no_tensors = small_file();
  no_tensors.tensors.clear();
  CHECK(open_code(no_tensors) == "none");
}

TEST_CASE("damaged headers give their code") {
  const Case cases[] = {
      {"A03 version 0", with_version(0), "VERSION"},
      {"A03 version 1", with_version(1), "VERSION"},
      {"A03 version 4", with_version(4), "VERSION"},
      {"A03 big-endian", with_version(0x03000000), "VERSION"},
      {"A04 tensors 2^64-1", with_counts(kMax, {}), "COUNT"},
      {"A04 tensors 2^63", with_counts(1ull << 63, {}), "COUNT"},
      {"A04 tensors one too many", with_counts((small_file().bytes().size() - 24) / 25 + 1, 0), "COUNT"},
      {"A05 keys 2^64-1", with_counts({}, kMax), "COUNT"},
      {"A05 keys 2^63", with_counts({}, 1ull << 63), "COUNT"},
      {"A05 ten keys, three there",
       [] {
         Raw f;
         for (const char* k : {"a", "b", "c"}) f.u32(k, 1);
         f.n_keys = 10;
         return f;
       }(),
       "COUNT"},
      {"A05 four keys, three there",
       [] {
         Raw f;
         for (const char* k : {"a", "b", "c"}) f.u32(k, 1);
         f.n_keys = 4;
         f.data = "12345678";
         f.alignment = 1;
         return f;
       }(),
       "STRLEN"},
      {"A06 key length 2^64-1", with_raw_key(Bytes().put(kMax).raw("keykeykeykey")), "STRLEN"},
      {"A06 key length 65536", with_raw_key(Bytes().text(std::string(65536, 'k')).put(uint32_t{0}).put(uint8_t{0})), "STRLEN"},
      {"A06 key length 65535", with_raw_key(Bytes().text(std::string(65535, 'k')).put(uint32_t{0}).put(uint8_t{0})), "none"},
      {"A06 key one too long", with_raw_key(Bytes().put(uint64_t{11}).raw("keykeykeyk")), "STRLEN"},
      {"A07 empty key", Raw().u32("", 1), "KEY"},
      {"A07 NUL", Raw().u32(std::string_view("a\0b", 3), 1), "KEY"},
      {"A07 0x80", Raw().u32("a\x80", 1), "KEY"},
      {"A07 ESC", Raw().u32("a\x1b[2J", 1), "KEY"},
      {"A08 same key, same type", Raw().u32("k", 1).u32("k", 1), "DUP"},
      {"A08 same key, other type", Raw().u32("k", 1).key("k", kBool, Bytes().put<uint8_t>(1)), "DUP"},
      {"A08 alignment twice", Raw().u32("general.alignment", 32).u32("general.alignment", 64), "DUP"},
      {"A10 value type 13", with_key(13, Bytes().put(uint64_t{0})), "TYPE"},
      {"A10 value type -1", with_key(0xffffffff, Bytes().put(uint64_t{0})), "TYPE"},
      {"A10 value type 2^31-1", with_key(0x7fffffff, Bytes().put(uint64_t{0})), "TYPE"},
      {"A11 array of arrays", with_array(kArray, 1, Bytes().put(uint32_t{kU8}).put(uint64_t{1}).put(uint8_t{1})), "TYPE"},
      {"A11 array type 13", with_array(13, 1, Bytes().put(uint64_t{1})), "TYPE"},
      {"A12 array 2^64-1", with_array(kU8, kMax), "COUNT"},
      {"A12 u64 array 2^61", with_array(kU64, 1ull << 61, Bytes().put(kMax)), "COUNT"},
      {"A12 u64 array one byte short", with_array(kU64, 1, Bytes().raw("1234567")), "COUNT"},
      {"A12 u8 array one too many", with_array(kU8, 9, Bytes().raw("12345678")), "COUNT"},
      {"A12 bool array too many", with_array(kBool, 9, Bytes().raw("\1\1\1\1\1\1\1\1")), "COUNT"},
      {"A13 string length 2^64-2", with_key(kString, Bytes().put(kMax - 1).raw("text")), "STRLEN"},
      {"A13 string one too long", with_key(kString, Bytes().put(uint64_t{5}).raw("text")), "STRLEN"},
      {"A13 string array 2^30", with_array(kString, 1ull << 30, Bytes().raw(std::string(1024, '\0'))), "COUNT"},
      {"A13 string in array", with_array(kString, 1, Bytes().put(kMax)), "STRLEN"},
      {"A14 bool 2", with_key(kBool, Bytes().put<uint8_t>(2)), "BOOL"},
      {"A14 bool 255", with_key(kBool, Bytes().put<uint8_t>(255)), "BOOL"},
      {"A14 bool in array", with_array(kBool, 2, Bytes().put<uint8_t>(1).put<uint8_t>(2)), "BOOL"},
      {"A15 alignment 0", Raw().u32("general.alignment", 0), "ALIGN"},
      {"A16 alignment 3", Raw().u32("general.alignment", 3), "ALIGN"},
      {"A16 alignment 24", Raw().u32("general.alignment", 24), "ALIGN"},
      {"A16 alignment 2^17", Raw().u32("general.alignment", 1u << 17), "ALIGN"},
      {"A16 alignment 2^31", Raw().u32("general.alignment", 1u << 31), "ALIGN"},
      {"A16 alignment 2^32-1", Raw().u32("general.alignment", 0xffffffff), "ALIGN"},
      {"A16 alignment 2^16", Raw().u32("general.alignment", 1u << 16), "none"},
      {"A17 alignment i32", Raw().key("general.alignment", kI32, Bytes().put(int32_t{32})), "TYPE"},
      {"A17 alignment u64", Raw().key("general.alignment", kU64, Bytes().put(uint64_t{32})), "TYPE"},
      {"A17 alignment string", Raw().key("general.alignment", kString, Bytes().text("32")), "TYPE"},
      {"A18 name empty", Raw().tensor("", {1}, 0, 0).with_data(64), "NAME"},
      {"A18 name of 64", Raw().tensor(std::string(64, 'n'), {1}, 0, 0).with_data(64), "none"},
      {"A18 name of 65", Raw().tensor(std::string(65, 'n'), {1}, 0, 0).with_data(64), "NAME"},
      {"A18 name length 2^64-1", with_raw_tensor(Bytes().put(kMax).raw(std::string(30, 'n'))), "NAME"},
      {"A18 NUL in name", Raw().tensor(std::string_view("a\0x", 3), {1}, 0, 0).with_data(64), "NAME"},
      {"A18 ESC in name", Raw().tensor("a\x1b[2J", {1}, 0, 0).with_data(64), "NAME"},
      {"A19 same name", Raw().tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).with_data(64), "DUP"},
      {"A20 five dimensions", with_tensor({1, 1, 1, 1, 1}), "NDIMS"},
      {"A20 2^32-1 dimensions", with_raw_tensor(Bytes().text("t").put(uint32_t{0xffffffff}).raw(std::string(40, '\1'))), "NDIMS"},
      {"A20 scalar", with_tensor({}), "none"},
      {"A21 dimension 0", with_tensor({4, 0}), "none"},
      {"A21 dimension 0 first", with_tensor({0, 4}), "none"},
      {"A22 dimension -1", with_tensor({kMax}), "SHAPE"},
      {"A22 dimension 2^63", with_tensor({1ull << 63}), "SHAPE"},
      {"A23 2^32 x 2^32", with_tensor({1ull << 32, 1ull << 32}), "OVERFLOW"},
      {"A23 2^31 x 2^31 x 4", with_tensor({1ull << 31, 1ull << 31, 4, 1}), "OVERFLOW"},
      {"A24 F32 of 2^62+1", with_tensor({(1ull << 62) + 1}), "OVERFLOW"},
      {"A25 Q4_0 whose product wraps", with_tensor({1024819115206086208ull}, 2), "OVERFLOW"},
      {"A26 I8 twice 2^63-64",
       Raw().tensor("a", {0x7fffffffffffffc0}, 24, 0).tensor("b", {0x7fffffffffffffc0}, 24, 0x7fffffffffffffc0).with_data(64),
       "OVERFLOW"},
      {"A27 padded size wraps", with_tensor({kMax - 30}, 24), "SHAPE"},
      {"A27 2^63-31 padded", with_tensor({(1ull << 63) - 31}, 24), "OVERFLOW"},
      {"A28 type 4", with_tensor({32}, 4), "TYPE"},
      {"A28 type 5", with_tensor({32}, 5), "TYPE"},
      {"A28 removed 31", with_tensor({32}, 31), "TYPE"},
      {"A28 removed 36", with_tensor({32}, 36), "TYPE"},
      {"A28 known, not ours", with_tensor({256}, 23), "TYPE"},
      {"A28 one past the last", with_tensor({32}, 41), "TYPE"},
      {"A28 type -1", with_tensor({32}, 0xffffffff), "TYPE"},
      {"A29 Q4_K row of 257", with_tensor({257}, 12), "SHAPE"},
      {"A29 Q4_K row of 32", with_tensor({32, 8}, 12), "SHAPE"},
      {"A29 Q8_0 row of 33", with_tensor({33}, 8), "SHAPE"},
      {"A30 offset not aligned", with_tensor({4}, 0, 4), "OFFSET"},
      {"A30 offset 2^64-32", with_tensor({4}, 0, kMax - 31), "OFFSET"},
      {"A30 end past the end", with_tensor({16}, 0, 32), "OFFSET"},
      {"A30 overlap", Raw().tensor("a", {16}, 0, 0).tensor("b", {8}, 0, 32).with_data(128), "OFFSET"},
      {"A30 same place", Raw().tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 0).with_data(128), "OFFSET"},
      {"A30 swapped", Raw().tensor("a", {8}, 0, 32).tensor("b", {8}, 0, 0).with_data(64), "OFFSET"},
      {"A30 gap", Raw().tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 64).with_data(128), "OFFSET"},
      {"A31 last byte missing", Raw().tensor("a", {16}, 0, 0).with_data(63), "TRUNC"},
      {"A31 all data missing", Raw().tensor("a", {16}, 0, 0), "TRUNC"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(open_code(c.raw) == c.code);
  }
}

TEST_CASE("files of other kinds are named (A02)") {
  const std::pair<std::string, const char*> heads[] = {{"FUGG", "big-endian"},
                                                       {"GGML", "GGML"},
                                                       {"ggjt", "GGJT"},
                                                       {"PK\x03\x04", "zip"},
                                                       {"\x7f"
                                                        "ELF",
                                                        "ELF"},
                                                       {std::string("\x80\x02", 2), "pickle"},
                                                       {"tjgg", "GGJT"},
                                                       {std::string(4, '\0'), "zeros"},
                                                       {"<!DOCTYPE html>", "web page"},
                                                       {"version https://git-lfs.github.com", "LFS"}};
  for (const auto& [head, hint] : heads) {
    const std::string bytes = head + std::string(100, ' ');
    CAPTURE(head);
    CHECK(open_code(bytes) == "MAGIC");
    CHECK(open_message(bytes).find(hint) != std::string::npos);
  }
  const std::string safetensors = Bytes().text("{\"a\":{}}").data;
  CHECK(open_code(safetensors) == "MAGIC");
  CHECK(open_message(safetensors).find("safetensors") != std::string::npos);
  CHECK(open_message(small_file(0x03000000).bytes()).find("big-endian") != std::string::npos);
  CHECK(open_message(with_tensor({32}, 4).bytes()).find("removed") != std::string::npos);
  CHECK(open_message(with_tensor({256}, 23).bytes()).find("IQ4_XS") != std::string::npos);
  CHECK(open_message(Raw().u32("a\x1b[2J", 1).bytes()).find("a\\x1b[2J") != std::string::npos);
}

TEST_CASE("ten thousand nested array headers do not recurse (A11)") {
  Bytes value;
  for (int i = 0; i < 10000; ++i) value.put(uint32_t{kArray}).put(uint64_t{1});
  const std::string bytes = with_key(kArray, value).bytes();
  on_small_stack([&] { CHECK(open_code(bytes) == "TYPE"); });
}

TEST_CASE("every prefix is an error or a whole file, and so is every flipped bit (A01)") {
  TempFolder folder;
  const std::string path = folder / "f.gguf";
  for (const uint32_t version : {3u, 2u}) {
    const std::string good = small_file(version).bytes();
    const std::set<std::string> cut_codes{"TRUNC", "COUNT", "STRLEN"};
    for (size_t n = 0; n < good.size(); ++n) {
      write_bytes(path, std::string_view(good).substr(0, n));
      const std::string code = code_of([&] { open_and_use(path); });
      CAPTURE(n);
      CHECK(cut_codes.count(code) == 1);
    }
    size_t n_accepted = 0;
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      write_bytes(path, bad);
      n_accepted += code_of([&] { open_and_use(path); }) == "none";
    }
    CHECK(n_accepted > 0);  // bits of the data and of texts
    CHECK(n_accepted < good.size() * 8);
  }
}

TEST_CASE("random damage gives an error or a whole file") {
  std::mt19937_64 random(11);
  const std::string good = small_file().bytes();
  for (int i = 0; i < 5000; ++i) {
    const std::string bytes = damaged(good, random);
    CAPTURE(i);
    CHECK(open_code(bytes) != "INTERNAL");
  }
}

TEST_CASE("data cut at any page is refused when it is opened (A31)") {
  TempFolder folder;
  const std::string path = folder / "f.gguf";
  const std::string good = Raw().tensor("a", {8192}, 0, 0).tensor("b", {4096}, 0, 32768).with_data(49152).bytes();
  write_bytes(path, good);
  CHECK(code_of([&] { open_and_use(path); }) == "none");
  for (size_t n = good.size() - 1; n > 4096; n = (n - 1) / 4096 * 4096) {
    write_bytes(path, std::string_view(good).substr(0, n));
    CHECK(code_of([&] { GgufFile::open(path); }) == "TRUNC");
  }
}

TEST_CASE("a file that shrinks after opening gives an error on reading (A32)") {
  TempFolder folder;
  const std::string path = folder / "f.gguf";
  write_bytes(path, Raw().tensor("a", {8192}, 0, 0).with_data(32768).bytes());
  const GgufFile file = GgufFile::open(path);
  fs::resize_file(path, 4096);
  std::vector<std::byte> bytes(32768);
  CHECK(code_of([&] { file.read(file.tensors()[0], 0, bytes); }) == "TRUNC");
  CHECK(code_of([&] { file.read(file.tensors()[0], 1, bytes); }) == "INTERNAL");  // past the tensor
}

TEST_CASE("a million keys or names: linear, and in proportion to the file (A09)") {
  // In a child, whose peak memory is its own.
  TempFolder folder;
  constexpr uint64_t kMany = 1'000'000;
  Bytes keys, names;
  keys.put(uint32_t{0x46554747}).put(uint32_t{3}).put(uint64_t{0}).put(kMany);
  names.put(uint32_t{0x46554747}).put(uint32_t{3}).put(kMany).put(uint64_t{0});
  for (uint64_t i = 0; i < kMany; ++i) {
    const std::string name = fmt::format("k.{}", i);
    keys.text(name).put(uint32_t{kU8}).put(uint8_t{1});
    names.text(name).put(uint32_t{1}).put(uint64_t{0}).put(uint32_t{0}).put(uint64_t{0});
  }
  write_bytes(folder / "keys", keys.data);
  write_bytes(folder / "names", names.data);
  Raw too_many;
  too_many.n_keys = (1 << 20) + 1;
  write_bytes(folder / "limit", too_many.bytes() + std::string(20 << 20, '\0'));
  CHECK(code_of([&] { GgufFile::open(folder / "limit"); }) == "LIMIT");
  keys.data = names.data = {};

  for (const std::string name : {"keys", "names"}) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        const GgufFile file = GgufFile::open(folder / name);
        const bool good = file.metadata().entries().size() + file.tensors().size() == kMany;
        ::_exit(good ? 0 : 1);
      } catch (...) {
        ::_exit(2);
      }
    }
    int status = 0;
    struct rusage usage {};
    REQUIRE(::wait4(child, &status, 0, &usage) == child);
    CHECK(status == 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rusage self {};
    ::getrusage(RUSAGE_SELF, &self);  // what the child had from us at the fork
    const uint64_t limit = 4 * fs::file_size(folder / name) / 1024 + (64 << 10);
    CHECK(static_cast<uint64_t>(usage.ru_maxrss) < limit + static_cast<uint64_t>(self.ru_maxrss));
#endif
  }
}

TEST_CASE("the parser needs little stack") {
  const std::string good = small_file().bytes();
  on_small_stack([&] { CHECK(open_code(good) == "none"); });
}
