// Sessions on disk: going on equals not having stopped, and a file that is damaged or foreign is refused with its reason.
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "fixture_models.h"

using namespace phial;
using namespace phial::test;

namespace {

constexpr size_t kHeaderBytes = 112;

std::vector<int32_t> text_of(int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back(3 + i * 37 % 250);
  return out;
}

std::vector<float> copy(std::span<const float> v) { return {v.begin(), v.end()}; }

std::vector<int32_t> answer(Session& session, int n) {
  SamplerParams sampling = greedy_sampling();
  sampling.temperature = 0.9f;
  sampling.seed = 7;
  sampling.ignore_eos = true;
  std::vector<int32_t> out;
  session.generate(sampling, n, [&](int32_t id) {
    out.push_back(id);
    return true;
  });
  return out;
}

}  // namespace

TEST_CASE("a session loaded goes on bit for bit, for every cache type") {
  TempFolder folder;
  const std::string embedded = std::string(PHIAL_SOURCE_DIR) + "/models/phial-tiny";
  for (const std::string& model_path : {fixture("phi3-longrope"), fixture("phi3-plain"), converted(embedded, "q8_0")})
    for (const auto& [k, v] :
         {std::pair{"f32", "f16"}, {"f16", "f32"}, {"q8_0", "f16"}, {"f16", "q8_0"}, {"i16", "f16"}, {"f32", "i16"}})
      for (const int n : {1, 20, 31, 64, 70}) {  // 32 is the first's original context, 64 a page
        CAPTURE(model_path);
        CAPTURE(k);
        CAPTURE(n);
        RunOptions options = exact(model_path, "cpu");
        options.cache_type_k = k;
        options.cache_type_v = v;
        options.n_context = 128;
        if (std::string_view(k) == "q8_0" || std::string_view(v) == "q8_0")
          if (model_path != converted(embedded, "q8_0")) continue;  // heads of the others hold no block of 32
        const std::string path = folder / "session";
        std::vector<int32_t> want, first;
        std::vector<float> logits;
        {
          auto session = Model::load(options)->open_session();
          session->set_tokens(text_of(n));
          first = answer(*session, 3);
          session->save(path, "a note");
          want = answer(*session, 12);
          logits = copy(session->last_logits());
        }
        auto session = Model::load(options)->open_session();
        session->set_tokens(text_of(9));  // what was there before does not matter
        CHECK(session->load(path) == "a note");
        CHECK(session->tokens().size() == static_cast<size_t>(n) + 3);
        CHECK(std::equal(first.begin(), first.end(), session->tokens().begin() + n));
        CHECK(session->timings().n_cached == n + 2);
        CHECK(answer(*session, 12) == want);
        CHECK(copy(session->last_logits()) == logits);
      }
}

TEST_CASE("a longer text reuses the loaded cache, an empty session comes back empty") {
  TempFolder folder;
  const RunOptions options = exact(fixture("phi3-plain"), "cpu");
  auto session = Model::load(options)->open_session();
  session->save(folder / "empty");
  session->set_tokens(text_of(40));
  session->save(folder / "forty", std::string("\0binary\n", 8));
  session->set_tokens(text_of(60));
  const auto want = copy(session->last_logits());
  CHECK(session->load(folder / "empty") == "");
  CHECK(session->tokens().empty());
  CHECK(session->load(folder / "forty") == std::string("\0binary\n", 8));
  session->set_tokens(text_of(60));
  CHECK(session->timings().n_cached == 39);
  CHECK(copy(session->last_logits()) == want);
}

TEST_CASE("what an older text left in a page is not written") {
  TempFolder folder;
  const RunOptions options = exact(fixture("phi3-plain"), "cpu");
  auto session = Model::load(options)->open_session();
  session->set_tokens(text_of(10));
  session->save(folder / "fresh");
  std::vector<int32_t> other(60, 99);
  session->set_tokens(other);
  session->set_tokens(text_of(10));
  session->save(folder / "reused");
  CHECK(read_text_file(folder / "fresh") == read_text_file(folder / "reused"));
}

TEST_CASE("every prefix and every flipped bit of a session file is refused, and the session stays as it was") {
  TempFolder folder;
  const RunOptions options = exact(fixture("phi3-plain"), "cpu");
  auto session = Model::load(options)->open_session();
  session->set_tokens(text_of(5));
  const std::string good = folder / "good", bad = folder / "bad";
  session->save(good, "note");
  const std::string bytes = read_text_file(good);
  session->set_tokens(text_of(12));
  const auto before = copy(session->last_logits());

  // Prefixes: all of the text part, then steps through the cache.
  const size_t n_text = kHeaderBytes + 5 * 4 + 4;
  for (size_t n = 0; n < bytes.size(); n += n < n_text + 64 ? 1 : step(251)) {
    write_bytes(bad, std::string_view(bytes).substr(0, n));
    const std::string code = code_of([&] { session->load(bad); });
    if (code != "TRUNC") FAIL("a prefix of " << n << " bytes gave " << code);
  }
  write_bytes(bad, bytes + "x");
  CHECK(code_of([&] { session->load(bad); }) == "STATE");

  // Bits: all of the text part and the end, one of each 97 bytes of the cache.
  std::string broken = bytes;
  for (size_t i = 0; i < bytes.size(); i += i < n_text || i + 8 >= bytes.size() ? 1 : std::min(step(97), bytes.size() - 8 - i)) {
    for (int bit = 0; bit < 8; ++bit) {
      broken[i] = static_cast<char>(bytes[i] ^ 1 << bit);
      write_bytes(bad, broken);
      const std::string code = code_of([&] { session->load(bad); });
      const std::string want = i < 8 ? "MAGIC" : i < 16 ? "VERSION" : "STATE";
      if (code != want) FAIL("bit " << bit << " of byte " << i << " gave " << code);
    }
    broken[i] = bytes[i];
  }
  CHECK(session->tokens().size() == 12);
  CHECK(copy(session->last_logits()) == before);
  CHECK(session->load(good) == "note");
}

TEST_CASE("a session of another model, cache type or a longer context is refused by name") {
  TempFolder folder;
  const std::string path = folder / "session";
  RunOptions options = exact(fixture("phi3-plain"), "cpu");
  options.n_context = 64;
  {
    auto session = Model::load(options)->open_session();
    session->set_tokens(text_of(40));
    session->save(path);
  }
  const auto refusal = [&](const RunOptions& o) {
    auto session = Model::load(o)->open_session();
    try {
      session->load(path);
    } catch (const Error& e) {
      return std::string(e.code_text()) + " " + e.what();
    }
    return std::string("none");
  };
  CHECK(refusal(options) == "none");
  RunOptions other = options;
  other.device = "reference";  // the same numbers
  other.n_ubatch = 8;
  CHECK(refusal(other) == "none");
  other = options;
  other.cache_type_v = "f16";
  CHECK(refusal(other).starts_with("STATE"));
  CHECK(refusal(other).find("-ctk F32 -ctv F32") != std::string::npos);
  other = options;
  other.n_context = 32;
  CHECK(refusal(other).starts_with("CONTEXT"));
  CHECK(refusal(other).find("40") != std::string::npos);
  CHECK(refusal(other).find("32") != std::string::npos);
  other = options;
  other.model = fixture("phi3-longrope");
  CHECK(refusal(other).find("another model file") != std::string::npos);
  other = options;
  other.override_kv = {"phi3.rope.freq_base=float:20000"};
  CHECK(refusal(other).find("--override-kv") != std::string::npos);

  // One bit of one weight makes another model.
  std::string bytes = read_text_file(options.model);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_bytes(folder / "changed.gguf", bytes);
  other = options;
  other.model = folder / "changed.gguf";
  CHECK(refusal(other).find("another model file") != std::string::npos);
  CHECK(code_of([&] { Model::load(options)->open_session()->load(folder / "missing"); }) == "NOTFOUND");
  CHECK(code_of([&] { Model::load(options)->open_session()->load(options.model); }) == "MAGIC");
}

TEST_CASE("a write that fails leaves the old session file") {
  TempFolder folder;
  const std::string path = folder / "session";
  auto session = Model::load(exact(fixture("phi3-plain"), "cpu"))->open_session();
  session->set_tokens(text_of(5));
  session->save(path);
  const std::string before = read_text_file(path);
  session->set_tokens(text_of(9));
  struct Hook {
    ~Hook() { AtomicFile::fault_hook = nullptr; }
  } hook;
  for (uint64_t at = 0; at < 5; ++at) {
    AtomicFile::fault_hook = [at](uint64_t n) { return n == at ? -ENOSPC : 0; };
    CHECK(code_of([&] { session->save(path); }) == "IO");
    CHECK(read_text_file(path) == before);
  }
  AtomicFile::fault_hook = nullptr;
  CHECK(code_of([&] { session->save(folder / "no/such/folder"); }) == "NOTFOUND");
  session->save(path);
  CHECK(read_text_file(path) != before);
}
