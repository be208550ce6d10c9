// llama.cpp's file of log-probabilities, the base of KL divergences. Little-endian: "_logits_", then int32 n_context, vocab_size
// and n_chunks, then int32 tokens[n_chunks * n_context], then for each chunk its scored positions n_context / 2 .. n_context - 2:
// a row of f32 scale, f32 minimum, uint16 levels[vocab_size], and one more uint16 where vocab_size is odd.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/log_softmax.h"
#include "phial/evaluate.h"

namespace phial {

/// Positions first_scored .. n_context - 2 predict the tokens that count.
constexpr int64_t first_scored(int64_t n_context) { return n_context / 2; }
constexpr int64_t scored_of(int64_t n_context) { return n_context - 1 - first_scored(n_context); }

/// The rows of one chunk, as they lie in the file.
class LogProbRows {
 public:
  LogProbRows(int64_t n_rows, int64_t vocab_size);

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)); }
  /// Different rows may be written from different threads.
  void put(int64_t row, std::span<const float> logits, const RowSummary& summary);
  QuantizedRow row(int64_t row) const;

 private:
  int64_t vocab_size_;
  size_t stride_;  // words of a row
  std::vector<uint16_t> words_;
};

class LogProbFile {
 public:
  /// Throws MAGIC, TRUNC, COUNT, HEADER, TOKEN.
  explicit LogProbFile(const std::string& path);

  const BaseFileInfo& info() const { return info_; }
  std::span<const int32_t> tokens(int64_t chunk) const;
  /// Throws NAN, HEADER when a row cannot be log-probabilities.
  void read(int64_t chunk, LogProbRows& rows) const;

 private:
  InputFile file_;
  BaseFileInfo info_;
  uint64_t rows_offset_ = 0, chunk_bytes_ = 0;
  std::vector<int32_t> tokens_;
};

/// The file appears when it is complete.
class LogProbWriter {
 public:
  LogProbWriter(const std::string& path, const BaseFileInfo& info, std::span<const int32_t> tokens);
  /// The chunk after those written.
  void write(LogProbRows& rows) { file_.write(rows.bytes()); }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace phial
