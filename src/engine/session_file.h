// A session on disk: a header, the tokens, a note of the application, the KV pages, and a checksum of all that.
// The header names the model (identity), the KV format and the version, so that a file is refused with its reason wherever
// the numbers in it would mean something else. Little-endian; written whole or not at all. docs/formats.md has the layout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/model_identity.h"
#include "engine/sequence.h"
#include "nn/kv_cache.h"

namespace phial {

/// Writes the computed part of the sequence.
void write_session(const std::string& path, const ModelIdentity& model, const KvCache& cache, const Sequence& sequence,
                   const std::string& note);

class SessionReader {
 public:
  /// Checks everything, checksum included, before a byte is used. Throws NOTFOUND, TRUNC, MAGIC, VERSION, OVERFLOW, STATE.
  SessionReader(const std::string& path, const ModelIdentity& model, const KvCache& cache);

  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::string& note() const { return note_; }
  int64_t n_computed() const { return n_computed_; }
  int32_t rope_set() const { return rope_set_; }
  /// Fills the pages. Throws STATE when the file has changed since it was checked.
  void read_pages(KvCache& cache, const std::vector<int32_t>& pages) const;

 private:
  void check_sum() const;

  InputFile file_;
  std::vector<int32_t> tokens_;
  std::string note_;
  int64_t n_computed_ = 0;
  int32_t rope_set_ = 0;
  uint64_t pages_offset_ = 0, pages_hash_ = 0;
};

}  // namespace phial
