// Everything a tokenizer needs, independent of where it came from (tokenizer.json, tokenizer.model, GGUF).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/metadata.h"

namespace phial {

enum class VocabModel { spm, bpe };  // SentencePiece (score merges, byte fallback); byte-level BPE (ranked merges)

enum class TokenType : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct AddedToken {
  int32_t id = -1;
  std::string text;
  bool special = false, lstrip = false, rstrip = false, single_word = false, normalized = false;
};

/// One step of a pre-tokenizer: a pattern that splits (each match a word, text between matches words too).
struct PreTokenizerRules {
  std::string name;                    // llama.cpp's tokenizer.ggml.pre name, or "" when read from rules
  std::vector<std::string> patterns;   // applied one after another; Oniguruma syntax as Hugging Face writes them
  bool ignore_merges = false;          // a whole word found in the vocabulary is taken as it is
  bool nfc = false;                    // normalize to NFC first
  bool byte_level_regex = false;       // the GPT-2 pattern of ByteLevel(use_regex = true)
  bool individual_digits = false;
};

struct Vocab {
  VocabModel model = VocabModel::spm;
  std::vector<std::string> tokens;     // as stored in GGUF (byte-level BPE: in the printable byte alphabet)
  std::vector<float> scores;           // spm
  std::vector<TokenType> types;
  std::vector<std::string> merges;     // bpe: "left right"
  std::vector<AddedToken> added;       // with their flags; matched before anything else
  PreTokenizerRules pre;
  bool add_space_prefix = true;        // spm
  bool remove_extra_whitespaces = false;
  bool add_bos = false, add_eos = false;
  int32_t bos = -1, eos = -1, unk = -1, pad = -1, eot = -1;
  std::vector<int32_t> eog;            // all ids that end generation (from generation_config.json and token texts)
  std::string chat_template;
};

/// From a checkpoint folder: tokenizer.json and/or tokenizer.model, tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json, generation_config.json. vocab_size = rows of the embedding (tokens are padded up to it). Throws VOCAB.
Vocab vocab_from_folder(const std::string& folder, int64_t vocab_size);

/// GGUF keys tokenizer.*. Rules and added-token flags that llama.cpp's keys cannot say are kept under phial.tokenizer.*.
Vocab vocab_from_metadata(const Metadata& m);
void vocab_to_metadata(const Vocab& v, Metadata& m);

/// Tokenizes a built-in text by tokenizer.json's rules and by tokenizer.model (if both are there), and before and after the
/// round trip through GGUF metadata; throws VOCAB at the first difference.
void check_vocab_of_folder(const std::string& folder, const Vocab& vocab);

}  // namespace phial
