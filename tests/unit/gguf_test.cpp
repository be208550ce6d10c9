// GGUF written and read again: random models, byte-equal rewriting, shards, and writers that fail or are killed.
#include "formats/gguf.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/fail.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;
namespace fs = std::filesystem;

namespace {

using Random = std::mt19937_64;

size_t below(Random& r, size_t n) { return static_cast<size_t>(r() % n); }

std::string random_text(Random& r) {
  std::string text(below(r, 40), '\0');
  for (char& c : text) c = static_cast<char>(r());
  return text;
}

template <typename T>
T random_scalar(Random& r) {
  if constexpr (std::is_same_v<T, std::string>)
    return random_text(r);
  else if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(static_cast<double>(r()) / 3.0);
  else
    return static_cast<T>(r());
}

template <typename T>
MetaValue random_array(Random& r) {
  std::vector<T> values(below(r, 20));
  for (size_t i = 0; i < values.size(); ++i) values[i] = random_scalar<T>(r);
  return values;
}

template <size_t... I>
MetaValue random_value(Random& r, size_t alternative, std::index_sequence<I...>) {
  MetaValue value;
  (void)((I == alternative && (value = std::variant_alternative_t<I, MetaVariant>{}, true)) || ...);
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>)
          value = random_scalar<T>(r);
        else
          value = random_array<typename T::value_type>(r);
      },
      MetaValue(value));
  return value;
}

struct Model {
  Metadata metadata;
  std::vector<GgufTensorPlan> tensors;
  std::vector<std::string> data;
};

Model random_model(Random& r) {
  Model m;
  const size_t n_alternatives = std::variant_size_v<MetaVariant>;
  for (size_t i = below(r, 30); i-- > 0;)
    m.metadata.set("key." + std::to_string(r() % 1000),
                   random_value(r, below(r, n_alternatives), std::make_index_sequence<n_alternatives>()));
  if (below(r, 2)) m.metadata.set("general.alignment", static_cast<uint32_t>(1u << below(r, 10)));
  for (size_t i = 0, n = below(r, 12); i < n; ++i) {
    GgufTensorPlan t;
    t.name = fmt::format("t{}", i) + std::string(below(r, 60), 'n');
    t.dtype = kAllDTypes[below(r, std::size(kAllDTypes))];
    for (size_t d = below(r, 5); d-- > 0;) t.shape.push_back(static_cast<int64_t>(below(r, 4)));
    const int64_t block = format_info(t.dtype).block_values;
    if (t.shape.empty() && block > 1) t.shape.push_back(1);
    if (!t.shape.empty()) t.shape.back() *= block;
    std::string bytes(static_cast<size_t>(t.n_bytes()), '\0');
    for (char& c : bytes) c = static_cast<char>(r());
    m.tensors.push_back(std::move(t));
    m.data.push_back(std::move(bytes));
  }
  return m;
}

void write(const std::string& path, const Model& m, GgufSplit split = {}, size_t piece = SIZE_MAX) {
  GgufWriter writer(path, m.metadata, m.tensors, split);
  std::string all;
  for (const std::string& bytes : m.data) all += bytes;
  for (size_t i = 0; i < all.size(); i += std::min(piece, all.size() - i))
    writer.write(std::as_bytes(std::span(all).subspan(i, std::min(piece, all.size() - i))));
  writer.finish();
}

Model read(const std::string& path) {
  const GgufFile file = GgufFile::open(path);
  Model m;
  m.metadata = file.metadata();
  for (const TensorEntry& t : file.tensors()) {
    m.tensors.push_back({t.name, t.dtype, t.shape});
    std::string bytes(static_cast<size_t>(t.n_bytes), '\0');
    file.read(t, 0, std::as_writable_bytes(std::span(bytes)));
    m.data.push_back(std::move(bytes));
  }
  return m;
}

/// Bit patterns, so that NaN equals itself.
bool same_value(const MetaValue& a, const MetaValue& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        const T& y = std::get<T>(b);
        if constexpr (std::is_floating_point_v<T>)
          return std::memcmp(&x, &y, sizeof x) == 0;
        else if constexpr (std::is_same_v<T, std::vector<float>> || std::is_same_v<T, std::vector<double>>)
          return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0);
        else
          return x == y;
      },
      a);
}

bool same_model(const Model& a, const Model& b) {
  bool same =
      a.data == b.data && a.tensors.size() == b.tensors.size() && a.metadata.entries().size() == b.metadata.entries().size();
  for (size_t i = 0; same && i < a.tensors.size(); ++i)
    same = a.tensors[i].name == b.tensors[i].name && a.tensors[i].dtype == b.tensors[i].dtype &&
           a.tensors[i].shape == b.tensors[i].shape;
  for (size_t i = 0; same && i < a.metadata.entries().size(); ++i)
    same = a.metadata.entries()[i].first == b.metadata.entries()[i].first &&
           same_value(a.metadata.entries()[i].second, b.metadata.entries()[i].second);
  return same;
}

Model plain_model(int n_tensors, char fill = 'x') {
  Model m;
  m.metadata.set("general.architecture", std::string("tiny"));
  for (int i = 0; i < n_tensors; ++i) {
    m.tensors.push_back({fmt::format("t{}", i), DType::f32, {2, 10}});
    m.data.emplace_back(80, static_cast<char>(fill + i % 3));
  }
  return m;
}

}  // namespace

TEST_CASE("random models are the same after writing and reading, and byte-equal when written again") {
  TempFolder folder;
  Random r(7);
  for (int i = 0; i < 400; ++i) {
    const Model m = random_model(r);
    const std::string a = folder / "a.gguf", b = folder / "b.gguf";
    write(a, m, {}, i % 2 ? SIZE_MAX : 1 + below(r, 100));
    const Model again = read(a);
    REQUIRE(same_model(m, again));
    write(b, again);
    REQUIRE(read_bytes(a) == read_bytes(b));
    fs::remove(a);
    fs::remove(b);
  }
}

TEST_CASE("shapes, offsets and properties of a file") {
  TempFolder folder;
  Model m = plain_model(3);
  m.metadata.set("general.alignment", uint32_t{64});
  GgufWriter writer(folder / "m.gguf", m.metadata, m.tensors);
  for (const std::string& bytes : m.data) writer.write(std::as_bytes(std::span(bytes)));
  writer.finish();
  writer.finish();  // once is enough, twice is no error
  CHECK(writer.total_bytes() == fs::file_size(folder / "m.gguf"));
  const GgufFile file = GgufFile::open(folder / "m.gguf");
  CHECK(file.version() == 3);
  CHECK(file.alignment() == 64);
  CHECK(file.data_offset() % 64 == 0);
  REQUIRE(file.tensors().size() == 3);
  const TensorEntry* t = file.find("t1");
  REQUIRE(t);
  CHECK(t->shape == std::vector<int64_t>{2, 10});
  CHECK(t->row_length() == 10);
  CHECK(t->n_rows() == 2);
  CHECK(t->offset == file.data_offset() + 128);
  CHECK(file.find("absent") == nullptr);
  CHECK(file.where(*t) == "m.gguf");
  std::byte middle[4];
  file.read(*t, 8, middle);
  CHECK(middle[0] == std::byte{'y'});
}

TEST_CASE("shards: by tensors and by bytes, read as one model") {
  TempFolder folder;
  const Model m = plain_model(10);
  struct Want {
    GgufSplit split;
    int n_files;
  };
  for (const Want& want : {Want{{3, 0}, 4}, Want{{1, 0}, 10}, Want{{0, 200}, 5}, Want{{0, 10}, 10}, Want{{4, 200}, 5},
                           Want{{10, 0}, 1}, Want{{0, 0}, 1}}) {
    CAPTURE(want.n_files);
    const std::string path = folder / "m.gguf", first = want.n_files == 1 ? path : gguf_shard_path(path, 0, want.n_files);
    write(path, m, want.split);
    CHECK(static_cast<int>(folder.n_entries()) == want.n_files);
    const GgufFile file = GgufFile::open(first);
    CHECK(static_cast<int>(file.files().size()) == want.n_files);
    Model again = read(first);
    if (want.n_files > 1) {
      CHECK(std::get<uint16_t>(*again.metadata.find("split.no")) == 0);
      CHECK(std::get<uint16_t>(*again.metadata.find("split.count")) == want.n_files);
      CHECK(std::get<int32_t>(*again.metadata.find("split.tensors.count")) == 10);
      const std::string second = gguf_shard_path(path, 1, want.n_files);
      CHECK(code_of([&] { GgufFile::open(second); }) == "SPLIT");  // not the first
      CHECK(read_bytes(second).find("general.architecture") == std::string::npos);
    }
    // Written again as one file, nothing of the split stays.
    write(folder / "one.gguf", again);
    CHECK(same_model(read(folder / "one.gguf"), m));
    for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove(entry.path());
  }
  CHECK(gguf_shard_path("dir/m.gguf", 0, 3) == "dir/m-00001-of-00003.gguf");
  CHECK(gguf_shard_path("dir/m", 2, 3) == "dir/m-00003-of-00003.gguf");
}

TEST_CASE("shards keep an alignment that is not the default") {
  TempFolder folder;
  Model m = plain_model(4);
  m.metadata.set("general.alignment", uint32_t{256});
  write(folder / "m.gguf", m, {2, 0});
  const Model again = read(gguf_shard_path(folder / "m.gguf", 0, 2));
  CHECK(again.data == m.data);
}

TEST_CASE("wrong sets of shards are refused (A33)") {
  TempFolder folder;
  const Model m = plain_model(6);
  const auto shard = [&](int i) { return gguf_shard_path(folder / "m.gguf", i, 3); };
  const auto open = [&] { return code_of([&] { GgufFile::open(shard(0)); }); };
  const auto reset = [&] { write(folder / "m.gguf", m, {2, 0}); };
  reset();
  REQUIRE(open() == "none");

  fs::remove(shard(1));
  CHECK(open() == "SPLIT");
  reset();
  fs::copy_file(shard(2), shard(1), fs::copy_options::overwrite_existing);
  CHECK(open() == "SPLIT");
  reset();
  fs::rename(shard(0), folder / "renamed.gguf");
  CHECK(code_of([&] { GgufFile::open(folder / "renamed.gguf"); }) == "SPLIT");
  fs::copy_file(folder / "renamed.gguf", folder / "m-00002-of-00002.gguf");
  CHECK(code_of([&] { GgufFile::open(folder / "m-00002-of-00002.gguf"); }) == "SPLIT");
  fs::remove(shard(0));
  fs::create_directory(shard(0));
  CHECK(open() == "NOTFILE");
  fs::remove(shard(0));

  SUBCASE("of another model: too few tensors") {
    reset();
    const std::string kept = read_bytes(shard(0));
    write(folder / "m.gguf", plain_model(5), {2, 0});
    write_bytes(shard(0), kept);
    CHECK(open() == "SPLIT");
  }
  SUBCASE("of another model: a tensor twice") {
    reset();
    Model other = m;
    for (GgufTensorPlan& t : other.tensors) t.name = fmt::format("t{}", 5 - std::stoi(t.name.substr(1)));
    const std::string kept = read_bytes(shard(2));
    write(folder / "m.gguf", other, {2, 0});
    write_bytes(shard(2), kept);
    CHECK(open() == "SPLIT");
  }
  SUBCASE("numbers that cannot be") {
    const auto with = [&](MetaValue no, MetaValue count, const char* name) {
      // The writer drops such keys, so they are put in behind its back under names of the same length.
      Model lie = plain_model(1);
      lie.metadata.set("xplit.no", std::move(no));
      lie.metadata.set("xplit.count", std::move(count));
      write(folder / "lie.gguf", lie);
      std::string bytes = read_bytes(folder / "lie.gguf");
      for (size_t at = 0; (at = bytes.find("xplit.", at)) != std::string::npos;) bytes[at] = 's';
      write_bytes(folder / name, bytes);
      return code_of([&] { GgufFile::open(folder / name); });
    };
    CHECK(with(uint16_t{0}, uint16_t{65535}, "l-00001-of-65535.gguf") == "SPLIT");
    CHECK(with(uint16_t{0}, uint32_t{65536}, "l-00001-of-65536.gguf") == "SPLIT");
    CHECK(with(uint16_t{7}, uint16_t{3}, "l-00008-of-00003.gguf") == "SPLIT");
    CHECK(with(int32_t{-1}, uint16_t{3}, "l-00001-of-00003.gguf") == "SPLIT");
    CHECK(with(int32_t{0}, int32_t{-3}, "l-00001-of-00003.gguf") == "SPLIT");
    CHECK(with(std::string("0"), uint16_t{3}, "l-00001-of-00003.gguf") == "SPLIT");
    CHECK(with(uint16_t{0}, std::string("3"), "l-00001-of-00003.gguf") == "SPLIT");
    CHECK(with(uint16_t{0}, uint16_t{3}, "l-00001-of-00004.gguf") == "SPLIT");
    CHECK(with(uint16_t{0}, uint16_t{3}, "l-0001-of-00003.gguf") == "SPLIT");
    CHECK(with(uint16_t{0}, uint16_t{1}, "l.gguf") == "none");
  }
}

TEST_CASE("what cannot be written is refused before a file appears") {
  TempFolder folder;
  const auto code = [&](Metadata metadata, std::vector<GgufTensorPlan> tensors) {
    return code_of([&] { GgufWriter(folder / "m.gguf", metadata, std::move(tensors)); });
  };
  Metadata key, alignment, type;
  key.set("a\nb", uint8_t{1});
  alignment.set("general.alignment", uint32_t{24});
  type.set("general.alignment", uint64_t{32});
  CHECK(code(key, {}) == "KEY");
  CHECK(code(alignment, {}) == "ALIGN");
  CHECK(code(type, {}) == "TYPE");
  CHECK(code({}, {{"", DType::f32, {1}}}) == "NAME");
  CHECK(code({}, {{std::string(65, 'n'), DType::f32, {1}}}) == "NAME");
  CHECK(code({}, {{"a", DType::f32, {1}}, {"a", DType::f32, {1}}}) == "DUP");
  CHECK(code({}, {{"a", DType::f32, {1, 1, 1, 1, 1}}}) == "NDIMS");
  CHECK(code({}, {{"a", DType::f32, {-1}}}) == "SHAPE");
  CHECK(code({}, {{"a", DType::q4_k, {255}}}) == "SHAPE");
  CHECK(code({}, {{"a", DType::f32, {INT64_MAX, 2}}}) == "OVERFLOW");
  CHECK(code_of([&] { GgufWriter(folder.path(), {}, {}); }) == "NOTFILE");
  CHECK(code({}, {{"a", DType::f32, {1ll << 55}}}) == "IO");  // 128 PiB
  CHECK(folder.n_entries() == 0);

  {
    GgufWriter writer(folder / "m.gguf", {}, {{"a", DType::f32, {1}}});
    const std::byte bytes[5] = {};
    CHECK(code_of([&] { writer.finish(); }) == "INTERNAL");      // bytes are missing
    CHECK(code_of([&] { writer.write(bytes); }) == "INTERNAL");  // one too many
  }
  CHECK(folder.n_entries() == 0);
}

TEST_CASE("a write that fails at any step leaves the old model (F01)") {
  TempFolder folder;
  const Model old = plain_model(4, 'a'), fresh = plain_model(4, 'k');
  for (const GgufSplit& split : {GgufSplit{}, GgufSplit{2, 0}}) {
    const std::string path = folder / "m.gguf", first = split.max_tensors ? gguf_shard_path(path, 0, 2) : path;
    write(path, old, split);
    const size_t n_files = folder.n_entries();
    uint64_t n_steps = 0;
    AtomicFile::fault_hook = [&](uint64_t) { return ++n_steps, 0; };
    write(path, old, split);
    REQUIRE(n_steps > 8);
    for (uint64_t k = 0; k < n_steps; ++k) {
      uint64_t step = 0;
      AtomicFile::fault_hook = [&](uint64_t) { return step++ == k ? -ENOSPC : 0; };
      CHECK(code_of([&] { write(path, fresh, split); }) == "IO");
      AtomicFile::fault_hook = nullptr;
      CHECK(read(first).data == old.data);
      CHECK(folder.n_entries() == n_files);
    }
    AtomicFile::fault_hook = nullptr;
  }
}

TEST_CASE("a writer killed at any moment leaves the old or the new model (F02)") {
  TempFolder folder;
  const std::string path = folder / "m.gguf";
  const auto model = [](int generation) {
    Model m = plain_model(40);
    for (std::string& bytes : m.data) std::fill(bytes.begin(), bytes.end(), static_cast<char>(generation));
    m.metadata.set("generation", static_cast<int32_t>(generation));
    return m;
  };
  write(path, model(0));
  Random r(3);
  std::set<int64_t> seen;
  for (int i = 0; i < 60; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        for (int generation = 1;; generation = generation % 100 + 1) write(path, model(generation), {}, 7);
      } catch (...) {
        ::_exit(1);
      }
    }
    ::usleep(static_cast<useconds_t>(r() % 12000));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const Model m = read(path);
    const int64_t generation = m.metadata.integer("generation");
    seen.insert(generation);
    REQUIRE(m.data == model(static_cast<int>(generation)).data);
  }
  CHECK(seen.size() > 1);
  // Killed between giving the temporary file a name and renaming it: a rare leftover, never the target.
  for (const auto& entry : fs::directory_iterator(folder.path()))
    CHECK((entry.path().string() == path || entry.path().extension() == ".tmp"));
}
