// Writing and checking of session files.
#include "engine/session_file.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <type_traits>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {
namespace {

static_assert(std::endian::native == std::endian::little, "session files are little-endian");

constexpr char kMagic[8] = {'P', 'H', 'I', 'A', 'L', 'S', 'E', 'S'};
constexpr uint32_t kVersion = 2;
constexpr uint64_t kBuffer = 1u << 20;

struct Header {
  char magic[8];
  uint32_t version, header_bytes;
  uint64_t model[2];
  char k_type[8], v_type[8];  // names of the formats, filled with zeros
  uint32_t n_layers, n_kv_heads, head_dim, page_tokens;
  uint64_t n_tokens, n_computed, note_bytes;
  uint32_t rope_set, reserved;
  uint64_t pages_hash;  // XXH3 of the pages
  uint64_t hash;        // XXH3 of what stands before
};
static_assert(sizeof(Header) == 112 && std::is_trivially_copyable_v<Header>);

uint64_t hash_of(const Header& h) { return XXH3_64bits(&h, offsetof(Header, hash)); }

/// XXH3 of bytes that come piece by piece.
class RunningHash {
 public:
  RunningHash() : state_(XXH3_createState(), XXH3_freeState) {
    if (!state_) fail(ErrorCode::no_memory, "no memory for a checksum");
    XXH3_64bits_reset(state_.get());
  }
  void add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

/// What this program would write for the same cache.
Header expected_header(const ModelIdentity& model, const KvCache& cache) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.version = kVersion;
  h.header_bytes = sizeof(Header);
  h.model[0] = model[0];
  h.model[1] = model[1];
  const KvFormat& format = cache.format();
  format_info(format.k).text.copy(h.k_type, sizeof h.k_type - 1);
  format_info(format.v).text.copy(h.v_type, sizeof h.v_type - 1);
  h.n_layers = static_cast<uint32_t>(cache.layers().size());
  h.n_kv_heads = static_cast<uint32_t>(format.n_kv_heads);
  h.head_dim = static_cast<uint32_t>(format.head_dim);
  h.page_tokens = kPageTokens;
  return h;
}

uint64_t total_bytes(const Header& h, uint64_t page_bytes) {
  const uint64_t n_pages = h.n_computed / kPageTokens + (h.n_computed % kPageTokens != 0);
  return (CheckedSize(sizeof(Header)) + CheckedSize(h.n_tokens) * sizeof(int32_t) + CheckedSize(h.note_bytes) +
          CheckedSize(n_pages) * page_bytes + sizeof(uint64_t))
      .value();
}

std::string type_name(const char (&text)[8]) { return printable(std::string_view(text, strnlen(text, sizeof text))); }

}  // namespace

void write_session(const std::string& path, const ModelIdentity& model, const KvCache& cache, const Sequence& sequence,
                   const std::string& note) {
  std::vector<std::byte> page(cache.page_bytes());
  const int64_t n_pages = pages_for(sequence.n_computed);
  const auto n_used = [&](int64_t i) {
    return static_cast<int32_t>(std::min<int64_t>(kPageTokens, sequence.n_computed - i * kPageTokens));
  };
  // The pages' own hash stands in the header, which is written at last.
  AtomicFile out(path);
  RunningHash all, of_pages;
  Header h = expected_header(model, cache);
  h.n_tokens = sequence.tokens.size();
  h.n_computed = static_cast<uint64_t>(sequence.n_computed);
  h.note_bytes = note.size();
  h.rope_set = static_cast<uint32_t>(sequence.rope_set);
  const auto tokens = std::as_bytes(std::span(sequence.tokens)), note_bytes = std::as_bytes(std::span(note));
  uint64_t offset = sizeof h;
  const auto put = [&](std::span<const std::byte> bytes) {
    out.write_at(offset, bytes);
    offset += bytes.size();
  };
  put(tokens);
  put(note_bytes);
  for (int64_t i = 0; i < n_pages; ++i) {
    cache.read_page(sequence.pages[static_cast<size_t>(i)], n_used(i), page);
    of_pages.add(page);
    put(page);
  }
  h.pages_hash = of_pages.value();
  h.hash = hash_of(h);
  const auto header = std::as_bytes(std::span(&h, 1));
  // The pages are held by their hash in the header.
  all.add(header);
  all.add(tokens);
  all.add(note_bytes);
  const uint64_t sum = all.value();
  put(std::as_bytes(std::span(&sum, 1)));
  out.write_at(0, header);
  out.commit();
}

SessionReader::SessionReader(const std::string& path, const ModelIdentity& model, const KvCache& cache) : file_(path) {
  const std::string where = "session " + printable(path, 1024);
  Header h;
  if (file_.size() < sizeof h + sizeof(uint64_t))
    fail(ErrorCode::trunc, "{}: {} bytes are too few for a session; it was cut short, delete it to begin anew", where,
         file_.size());
  file_.read_at(0, std::as_writable_bytes(std::span(&h, 1)));
  const Header want = expected_header(model, cache);
  if (std::memcmp(h.magic, want.magic, sizeof h.magic) != 0)
    fail(ErrorCode::magic, "{}: this is no session file of phial; give another name", where);
  if (h.version != kVersion || h.header_bytes != sizeof h)
    fail(ErrorCode::version, "{}: format version {}, this phial reads {}; delete it to begin anew", where, h.version, kVersion);
  if (h.hash != hash_of(h))
    fail(ErrorCode::state, "{}: the header is damaged (its checksum differs); delete it to begin anew", where);
  if (std::memcmp(h.model, want.model, sizeof h.model) != 0)
    fail(ErrorCode::state, "{}: it belongs to another model file (or another --override-kv); give that model, or another name",
         where);
  if (std::memcmp(h.k_type, want.k_type, sizeof h.k_type) != 0 || std::memcmp(h.v_type, want.v_type, sizeof h.v_type) != 0)
    fail(ErrorCode::state, "{}: its cache holds {} keys and {} values, this run has {} and {}; use -ctk {} -ctv {}", where,
         type_name(h.k_type), type_name(h.v_type), type_name(want.k_type), type_name(want.v_type), type_name(h.k_type),
         type_name(h.v_type));
  if (h.n_layers != want.n_layers || h.n_kv_heads != want.n_kv_heads || h.head_dim != want.head_dim ||
      h.page_tokens != want.page_tokens)
    fail(ErrorCode::state, "{}: its cache has {} layers of {} heads of {} in pages of {}, this model {} of {} of {} in {}", where,
         h.n_layers, h.n_kv_heads, h.head_dim, h.page_tokens, want.n_layers, want.n_kv_heads, want.head_dim, want.page_tokens);
  if (h.n_computed > h.n_tokens || h.rope_set > 1)
    fail(ErrorCode::state, "{}: {} of {} tokens computed with rope set {} cannot be", where, h.n_computed, h.n_tokens,
         h.rope_set);
  const uint64_t wanted = total_bytes(h, cache.page_bytes());
  if (file_.size() < wanted)
    fail(ErrorCode::trunc, "{}: {} bytes, its header asks for {}; it was cut short, delete it to begin anew", where, file_.size(),
         wanted);
  if (file_.size() > wanted)
    fail(ErrorCode::state, "{}: {} bytes, its header asks for {}; delete it to begin anew", where, file_.size(), wanted);

  // Sizes are the file's own from here on, so they are no larger than it.
  RunningHash all;
  tokens_.resize(h.n_tokens);
  note_.resize(h.note_bytes);
  const auto tokens = std::as_writable_bytes(std::span(tokens_)), note = std::as_writable_bytes(std::span(note_));
  file_.read_at(sizeof h, tokens);
  file_.read_at(sizeof h + tokens.size(), note);
  all.add(std::as_bytes(std::span(&h, 1)));
  all.add(tokens);
  all.add(note);
  uint64_t sum;
  file_.read_at(file_.size() - sizeof sum, std::as_writable_bytes(std::span(&sum, 1)));
  if (sum != all.value())
    fail(ErrorCode::state, "{}: the text is damaged (its checksum differs); delete it to begin anew", where);
  n_computed_ = static_cast<int64_t>(h.n_computed);
  rope_set_ = static_cast<int32_t>(h.rope_set);
  pages_offset_ = sizeof h + tokens.size() + note.size();
  pages_hash_ = h.pages_hash;
  check_sum();
}

void SessionReader::check_sum() const {
  RunningHash hash;
  std::vector<std::byte> buffer(kBuffer);
  const uint64_t end = file_.size() - sizeof(uint64_t);
  for (uint64_t at = pages_offset_; at < end;) {
    const auto piece = std::span(buffer).first(std::min(kBuffer, end - at));
    file_.read_at(at, piece);
    hash.add(piece);
    at += piece.size();
  }
  if (hash.value() != pages_hash_)
    fail(ErrorCode::state, "session {}: the cache in it is damaged (its checksum differs); delete it to begin anew",
         printable(file_.path(), 1024));
}

void SessionReader::read_pages(KvCache& cache, const std::vector<int32_t>& pages) const {
  std::vector<std::byte> page(cache.page_bytes());
  RunningHash hash;
  uint64_t at = pages_offset_;
  for (const int32_t id : pages) {
    file_.read_at(at, page);
    hash.add(page);
    cache.write_page(id, page);
    at += page.size();
  }
  if (hash.value() != pages_hash_)
    fail(ErrorCode::state, "session {}: the file changed while it was read; load it again", printable(file_.path(), 1024));
}

}  // namespace phial
