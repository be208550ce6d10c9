// Checks, then positioned reads of one chunk at a time.
#include "engine/log_prob_file.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr char kMagic[] = "_logits_";
constexpr uint64_t kMagicBytes = 8, kHeaderBytes = kMagicBytes + 3 * sizeof(int32_t);
constexpr size_t kRowHead = 4;            // words: scale and minimum
constexpr int64_t kLeastContext = 3;      // one scored position
constexpr float kLargestLogProb = 0.01f;  // 0 and what rounding adds

size_t row_words(int64_t vocab_size) { return kRowHead + static_cast<size_t>((vocab_size + 1) / 2 * 2); }

}  // namespace

LogProbRows::LogProbRows(int64_t n_rows, int64_t vocab_size)
    : vocab_size_(vocab_size), stride_(row_words(vocab_size)), words_(static_cast<size_t>(n_rows) * stride_) {}

void LogProbRows::put(int64_t row, std::span<const float> logits, const RowSummary& summary) {
  uint16_t* words = words_.data() + static_cast<size_t>(row) * stride_;
  const QuantizedRow r = quantize_row(logits, summary, {words + kRowHead, static_cast<size_t>(vocab_size_)});
  std::memcpy(words, &r.scale, sizeof r.scale);
  std::memcpy(words + 2, &r.minimum, sizeof r.minimum);
}

QuantizedRow LogProbRows::row(int64_t row) const {
  const uint16_t* words = words_.data() + static_cast<size_t>(row) * stride_;
  QuantizedRow r;
  std::memcpy(&r.scale, words, sizeof r.scale);
  std::memcpy(&r.minimum, words + 2, sizeof r.minimum);
  r.levels = {words + kRowHead, static_cast<size_t>(vocab_size_)};
  return r;
}

LogProbFile::LogProbFile(const std::string& path) : file_(path) {
  std::byte head[kHeaderBytes];
  const std::string name = printable(path);
  const size_t n_magic = std::min<uint64_t>(file_.size(), kMagicBytes);
  file_.read_at(0, {head, n_magic});
  if (n_magic == 0 || std::memcmp(head, kMagic, n_magic) != 0)
    fail(ErrorCode::magic, "{}: not a file of log-probabilities; perplexity --kl-divergence-base writes one", name);
  file_.read_at(0, head);
  int32_t fields[3];
  std::memcpy(fields, head + kMagicBytes, sizeof fields);
  info_ = {fields[0], fields[1], fields[2]};
  if (info_.n_context < kLeastContext || info_.vocab_size < 1 || info_.n_chunks < 1)
    fail(ErrorCode::header, "{}: its header says {} chunks of {} tokens, vocabulary {}; the file is damaged", name,
         info_.n_chunks, info_.n_context, info_.vocab_size);
  const auto n_context = static_cast<uint64_t>(info_.n_context), n_chunks = static_cast<uint64_t>(info_.n_chunks);
  const CheckedSize token_bytes = CheckedSize(n_context) * n_chunks * sizeof(int32_t);
  const CheckedSize chunk_bytes =
      CheckedSize(row_words(info_.vocab_size)) * sizeof(uint16_t) * static_cast<uint64_t>(scored_of(info_.n_context));
  rows_offset_ = (token_bytes + kHeaderBytes).value();
  chunk_bytes_ = chunk_bytes.value();
  const uint64_t wanted = (chunk_bytes * n_chunks + rows_offset_).value();
  if (wanted != file_.size())
    fail(wanted > file_.size() ? ErrorCode::trunc : ErrorCode::count,
         "{}: {} chunks of {} tokens with a vocabulary of {} take {} bytes, the file has {}; it is cut short or damaged, write "
         "it again",
         name, n_chunks, n_context, info_.vocab_size, wanted, file_.size());
  tokens_.resize(n_context * n_chunks);
  file_.read_at(kHeaderBytes, std::as_writable_bytes(std::span(tokens_)));
  for (size_t i = 0; i < tokens_.size(); ++i)
    if (tokens_[i] < 0 || tokens_[i] >= info_.vocab_size)
      fail(ErrorCode::token, "{}: token {} is {}, the vocabulary has {}; the file is damaged", name, i, tokens_[i],
           info_.vocab_size);
}

std::span<const int32_t> LogProbFile::tokens(int64_t chunk) const {
  const auto n = static_cast<size_t>(info_.n_context);
  return std::span(tokens_).subspan(static_cast<size_t>(chunk) * n, n);
}

void LogProbFile::read(int64_t chunk, LogProbRows& rows) const {
  file_.read_at(rows_offset_ + static_cast<uint64_t>(chunk) * chunk_bytes_, rows.bytes());
  for (int64_t i = 0; i < scored_of(info_.n_context); ++i) {
    const QuantizedRow r = rows.row(i);
    const float top = r.scale * static_cast<float>(r.levels[index_of_max(r.levels)]) + r.minimum;
    if (!std::isfinite(r.scale) || !std::isfinite(r.minimum))
      fail(ErrorCode::nan, "{}: chunk {}, row {}: scale {} and minimum {} are not finite", printable(file_.path()), chunk, i,
           r.scale, r.minimum);
    if (r.scale < 0 || !(top <= kLargestLogProb))
      fail(ErrorCode::header, "{}: chunk {}, row {}: with scale {} the largest ln p is {}; the file is damaged",
           printable(file_.path()), chunk, i, r.scale, top);
  }
}

LogProbWriter::LogProbWriter(const std::string& path, const BaseFileInfo& info, std::span<const int32_t> tokens) : file_(path) {
  const int32_t fields[] = {static_cast<int32_t>(info.n_context), static_cast<int32_t>(info.vocab_size),
                            static_cast<int32_t>(info.n_chunks)};
  PHIAL_CHECK(std::ssize(tokens) == info.n_context * info.n_chunks);
  file_.write(std::as_bytes(std::span(kMagic, kMagicBytes)));
  file_.write(std::as_bytes(std::span(fields)));
  file_.write(std::as_bytes(tokens));
}

BaseFileInfo base_file_info(const std::string& path) { return LogProbFile(path).info(); }

}  // namespace phial
