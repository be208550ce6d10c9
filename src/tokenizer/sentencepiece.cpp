// A reader of the protocol buffer wire format, bounded by the bytes it is given; messages nest two deep here.
#include "tokenizer/sentencepiece.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/fail.h"
#include "tokenizer/vocab_parts.h"

namespace phial {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

class WireReader {
 public:
  WireReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  struct Field {
    uint32_t number = 0, type = 0;
    uint64_t integer = 0;    // varint, fixed32, fixed64
    std::string_view bytes;  // length-delimited
  };
  /// False at the end.
  bool next(Field& f) {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = varint();
    f.number = static_cast<uint32_t>(key >> 3 & 0x1FFFFFFF);
    f.type = static_cast<uint32_t>(key & 7);
    switch (f.type) {
      case kVarint:
        f.integer = varint();
        return true;
      case kFixed64:
        f.integer = fixed(8);
        return true;
      case kFixed32:
        f.integer = fixed(4);
        return true;
      case kBytes: {
        const uint64_t n = varint();
        if (n > bytes_.size() - at_) damaged("a field is longer than the file");
        f.bytes = bytes_.substr(at_, n);
        at_ += n;
        return true;
      }
      default:
        damaged("a field has an unknown wire type");
    }
  }
  int32_t int32(const Field& f) const {
    if (f.type != kVarint) damaged("a number has the wrong wire type");
    return static_cast<int32_t>(static_cast<uint32_t>(f.integer));  // negative numbers are written as 64 bits
  }
  std::string_view text(const Field& f) const {
    if (f.type != kBytes) damaged("a text has the wrong wire type");
    return f.bytes;
  }
  float real(const Field& f) const {
    if (f.type != kFixed32) damaged("a float has the wrong wire type");
    const auto bits = static_cast<uint32_t>(f.integer);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  [[noreturn]] void damaged(const char* what) const {
    fail(ErrorCode::vocab, "{}: {} near offset {}; the SentencePiece file is damaged or of another kind", where_, what, at_);
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) damaged("the file ends inside a number");
      const auto b = static_cast<uint8_t>(bytes_[at_++]);
      value |= static_cast<uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) return value;
    }
    damaged("a number has too many bytes");
  }
  uint64_t fixed(size_t n) {
    if (bytes_.size() - at_ < n) damaged("the file ends inside a number");
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[at_ + i])) << (8 * i);
    at_ += n;
    return value;
  }

  std::string_view bytes_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& where) {
  SentencePieceModel m;
  int32_t model_type = 1;  // the default: unigram
  WireReader file(bytes, where);
  for (WireReader::Field f; file.next(f);) {
    if (f.number == 1) {  // pieces
      std::string_view text;
      float score = 0;
      int32_t type = 1;
      WireReader piece(file.text(f), where);
      for (WireReader::Field p; piece.next(p);) {
        if (p.number == 1)
          text = piece.text(p);
        else if (p.number == 2)
          score = piece.real(p);
        else if (p.number == 3)
          type = piece.int32(p);
      }
      const size_t id = m.pieces.size();
      check_token_limits(id + 1, 0);
      check_token_text(text, id);
      if (type < 1 || type > 6) fail(ErrorCode::vocab, "{}: piece {} has the unknown type {}", where, id, type);
      if (std::isnan(score)) fail(ErrorCode::vocab, "{}: the score of piece {} is not a number", where, id);
      if (type == 6) check_byte_token(text, id);
      m.pieces.emplace_back(text);
      m.scores.push_back(score);
      m.types.push_back(static_cast<TokenType>(type));
    } else if (f.number == 2) {  // trainer_spec
      WireReader spec(file.text(f), where);
      for (WireReader::Field p; spec.next(p);) {
        switch (p.number) {
          case 3:
            model_type = spec.int32(p);
            break;
          case 35:
            m.byte_fallback = spec.int32(p) != 0;
            break;
          case 40:
            m.unk = spec.int32(p);
            break;
          case 41:
            m.bos = spec.int32(p);
            break;
          case 42:
            m.eos = spec.int32(p);
            break;
          case 43:
            m.pad = spec.int32(p);
            break;
          default:
            break;
        }
      }
    } else if (f.number == 3) {  // normalizer_spec
      WireReader spec(file.text(f), where);
      for (WireReader::Field p; spec.next(p);) {
        switch (p.number) {
          case 2:
            m.precompiled_charsmap = spec.text(p);
            break;
          case 3:
            m.add_dummy_prefix = spec.int32(p) != 0;
            break;
          case 4:
            m.remove_extra_whitespaces = spec.int32(p) != 0;
            break;
          case 5:
            m.escape_whitespaces = spec.int32(p) != 0;
            break;
          default:
            break;
        }
      }
    }
  }
  if (m.pieces.size() < 2) fail(ErrorCode::vocab, "{}: {} pieces; the file has no vocabulary", where, m.pieces.size());
  if (model_type != 2)
    fail(ErrorCode::vocab, "{}: the SentencePiece model is of type {}; only BPE (2) is supported", where, model_type);
  check_charsmap(m.precompiled_charsmap);
  const auto n = static_cast<int64_t>(m.pieces.size());
  for (int32_t* id : {&m.unk, &m.bos, &m.eos, &m.pad})
    if (*id >= n || *id < 0) *id = -1;  // -1 says that the model has none
  return m;
}

}  // namespace phial
