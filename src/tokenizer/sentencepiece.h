// tokenizer.model: SentencePiece's model file, a protocol buffer. Only the fields a tokenizer needs are read.
// Source: sentencepiece_model.proto of the SentencePiece library.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.h"

namespace phial {

struct SentencePieceModel {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<TokenType> types;
  bool byte_fallback = false;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  std::string precompiled_charsmap;
  int32_t unk = 0, bos = 1, eos = 2, pad = -1;
};

/// Throws VOCAB (with `where`) for damaged files and for models that are not of the BPE kind.
SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& where);

}  // namespace phial
