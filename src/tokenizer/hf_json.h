// tokenizer.json (Hugging Face `tokenizers`): the parts a tokenizer needs, checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.h"

namespace phial {

struct HfTokenizer {
  VocabModel model = VocabModel::bpe;
  std::vector<std::string> tokens;  // by id; "" with defined[id] false where no token has the id
  std::vector<bool> defined;
  std::vector<Merge> merges;
  std::vector<AddedToken> added;
  TextRules rules;
  bool byte_fallback = false, fuse_unk = false, ignore_merges = false;
  std::string unk_token;
  // Ids that the post-processor puts around a text; at most one each.
  std::optional<int32_t> before, after;
};

/// vocab_size = rows of the embedding (0 = unknown): ids beyond it are refused. Throws VOCAB with `where`.
HfTokenizer parse_tokenizer_json(std::string_view text, const std::string& where, int64_t vocab_size);

}  // namespace phial
