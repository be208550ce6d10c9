// Pieces of building a Vocab that both sources (GGUF metadata, checkpoint folder) use.
#pragma once

#include <string_view>
#include <unordered_map>

#include "tokenizer/vocab.h"

namespace phial {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space
constexpr size_t kMaxTokenBytes = 64 << 10;

using IdMap = std::unordered_map<std::string_view, int32_t>;
/// Token text -> id; of equal texts the first id.
IdMap ids_by_text(const Vocab& v);

/// Throws LIMIT.
void check_token_limits(size_t n_tokens, size_t n_merges);
void check_token_text(std::string_view text, size_t id);
/// Throws VOCAB unless the text is <0x00> to <0xFF>.
void check_byte_token(std::string_view text, size_t id);

/// "left right", or the two parts; throws VOCAB when a part or the whole is not in the vocabulary.
Merge merge_of_text(std::string_view text, size_t number, const IdMap& ids);
Merge merge_of_parts(std::string_view left, std::string_view right, size_t number, const IdMap& ids);
/// Throws VOCAB unless the parts make the whole.
void check_merge(const Vocab& v, const Merge& m, size_t number);

/// A SentencePiece normalization map: u32 size of a trie, the trie, and strings that end in NUL. Throws VOCAB when damaged.
void check_charsmap(std::string_view bytes);

/// As vocab_from_folder, but an spm vocabulary keeps the merges of tokenizer.json as they are listed there.
Vocab vocab_from_folder_with_listed_merges(const std::string& folder, int64_t vocab_size);

}  // namespace phial
