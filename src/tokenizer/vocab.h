// Everything a tokenizer needs, independent of where it came from (tokenizer.json, tokenizer.model, GGUF).
// The text rules are those of Hugging Face's tokenizer.json, kept as rules: nothing is recognised by name or by hash.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "formats/metadata.h"
#include "tokenizer/text_rules.h"

namespace phial {

enum class VocabModel { spm, bpe };  // SentencePiece (score merges, byte fallback); byte-level BPE (ranked merges)

enum class TokenType : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// A token matched in the text before anything else.
struct AddedToken {
  int32_t id = -1;
  std::string text;
  bool special = false, lstrip = false, rstrip = false, single_word = false, normalized = false;
};

/// Two tokens that become one; the order in the list is the rank.
struct Merge {
  int32_t left = -1, right = -1, result = -1;
};

/// Which of two merges of equal score goes first (spm). The score is the piece's, so these are the ways to cut one piece,
/// or equal scores of a hand-made vocabulary.
enum class MergeTies : uint8_t {
  position,     // leftmost in the text: SentencePiece itself, and llama.cpp
  left_id,      // the smaller id of the left part, then of the right: tokenizer.json files written until 2024
  left_length,  // the longer left part: tokenizer.json files written since
  listed,       // as `merges` says
};

struct Vocab {
  VocabModel model = VocabModel::spm;
  std::vector<std::string> tokens;  // as stored in GGUF (byte-level BPE: in the printable byte alphabet; spm: U+2581 for space)
  std::vector<float> scores;        // spm
  std::vector<TokenType> types;
  std::vector<Merge> merges;  // bpe; spm only when ties == listed
  MergeTies ties = MergeTies::position;
  bool byte_fallback = true;   // spm: a character without a token becomes its bytes' tokens
  bool fuse_unk = true;        // spm: unknown characters in a row become one unknown token
  int32_t subword_unk = -1;    // for a byte or character that has no token; -1: it is dropped
  bool ignore_merges = false;  // bpe: a whole word found in the vocabulary is taken as it is
  std::vector<AddedToken> added;
  TextRules rules;
  std::string pre;  // tokenizer.ggml.pre: llama.cpp's name for the rules
  bool add_bos = false, add_eos = false;
  int32_t bos = -1, eos = -1, unk = -1, pad = -1, eot = -1;
  std::vector<int32_t> eog;                                          // all ids that end generation, ascending
  std::string chat_template;                                         // the default one
  std::vector<std::pair<std::string, std::string>> named_templates;  // name, text
};

/// From a checkpoint folder: tokenizer.json and/or tokenizer.model, tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json, generation_config.json, chat_template.jinja. vocab_size = rows of the embedding (tokens are padded up to
/// it; 0 = no padding). Throws VOCAB.
Vocab vocab_from_folder(const std::string& folder, int64_t vocab_size);

/// GGUF keys tokenizer.*. Rules and added-token flags that llama.cpp's keys cannot say are kept under phial.tokenizer.*.
Vocab vocab_from_metadata(const Metadata& m);
void vocab_to_metadata(const Vocab& v, Metadata& m);

/// Tokenizes a built-in text by tokenizer.json's rules and by tokenizer.model (if both are there), and before and after the
/// round trip through GGUF metadata; throws VOCAB at the first difference.
void check_vocab_of_folder(const std::string& folder, const Vocab& vocab);

/// Ends of generation by what the vocabulary itself says: eos, eot and the known texts (<|end|>, <|im_end|>, ...) among its
/// control and added tokens. Adds to v.eog, keeps it sorted.
void add_known_eog(Vocab& v);

}  // namespace phial
