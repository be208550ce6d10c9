// From words to token ids: byte-level BPE (bpe.cpp) and SentencePiece (spm.cpp), both on the merge engine.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/merges.h"
#include "tokenizer/vocab.h"

namespace phial {

/// Scratch of one encode() call: nothing in it outlives the call.
struct EncodeScratch {
  MergeScratch merges;
  std::vector<int32_t> symbols;
};

class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  /// Appends the ids of one word. byte_alphabet: the word is in the printable alphabet of byte-level BPE.
  virtual void encode(std::string_view word, bool byte_alphabet, EncodeScratch& scratch, std::vector<int32_t>& ids) const = 0;
  /// The id of which a run becomes one (unknown characters), or -1.
  virtual int32_t fused() const { return -1; }
  /// End of the longest stretch from `begin` after which no merge can reach across: a word of its own.
  virtual size_t word_end(std::string_view text, size_t begin) const {
    (void)begin;
    return text.size();
  }
};

std::unique_ptr<SubwordModel> make_bpe(const Vocab& v);
std::unique_ptr<SubwordModel> make_spm(const Vocab& v);

/// Pairs of spm pieces that merge, best first, as `ties` orders them (not `listed`). Parts that are no token themselves get
/// ids from v.tokens.size() on, and their code points are put into `loose` (only for ties == position, as SentencePiece has it).
std::vector<Merge> merges_of_scores(const Vocab& v, MergeTies ties, std::vector<uint32_t>* loose = nullptr);

/// May a merge make this token? Control tokens and the like never come out of plain text.
inline bool is_plain(TokenType t) { return t == TokenType::normal || t == TokenType::user_defined; }

}  // namespace phial
