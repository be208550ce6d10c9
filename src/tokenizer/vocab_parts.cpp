// Checks and small builders of a Vocab, whatever it is read from; and which tokens end generation.
#include "tokenizer/vocab_parts.h"

#include <algorithm>

#include "base/fail.h"

namespace phial {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr size_t kMaxMerges = 10'000'000 - 1;

}  // namespace

IdMap ids_by_text(const Vocab& v) {
  IdMap out;
  out.reserve(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) out.emplace(v.tokens[i], static_cast<int32_t>(i));  // the first id wins
  return out;
}

void check_byte_token(std::string_view text, size_t id) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f'); };
  if (text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && hex(text[3]) && hex(text[4])) return;
  fail(ErrorCode::vocab, "token {} has type byte but the text '{}', not <0x00> to <0xFF>", id, printable(text));
}

void check_charsmap(std::string_view bytes) {
  if (bytes.empty()) return;
  uint64_t trie = 0;
  for (size_t i = 0; i < 4 && bytes.size() >= 4; ++i) trie |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  if (bytes.size() < 4 || trie > bytes.size() - 4 || trie % 4 != 0)
    fail(ErrorCode::vocab, "the precompiled character map of {} bytes has a trie of {} bytes; it is damaged", bytes.size(), trie);
  if (bytes.size() > trie + 4 && bytes.back() != '\0')
    fail(ErrorCode::vocab, "the last string of the precompiled character map does not end; it is damaged");
}

void check_merge(const Vocab& v, const Merge& m, size_t number) {
  const std::string& left = v.tokens[static_cast<size_t>(m.left)];
  const std::string& right = v.tokens[static_cast<size_t>(m.right)];
  const std::string& result = v.tokens[static_cast<size_t>(m.result)];
  if (left.empty() || right.empty() || result.size() != left.size() + right.size() || !result.starts_with(left) ||
      !result.ends_with(right))
    fail(ErrorCode::vocab, "merge {}: '{}' and '{}' do not make '{}'", number, printable(left), printable(right),
         printable(result));
}

Merge merge_of_text(std::string_view text, size_t number, const IdMap& ids) {
  const size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos)
    fail(ErrorCode::vocab, "merge {} is '{}', not two parts with a space between", number, printable(text));
  return merge_of_parts(text.substr(0, space), text.substr(space + 1), number, ids);
}

Merge merge_of_parts(std::string_view left, std::string_view right, size_t number, const IdMap& ids) {
  auto id = [&](std::string_view part) {
    const auto it = ids.find(part);
    if (it == ids.end()) fail(ErrorCode::vocab, "merge {} uses '{}', which is not in the vocabulary", number, printable(part));
    return it->second;
  };
  if (left.empty() || right.empty()) fail(ErrorCode::vocab, "merge {} has an empty part", number);
  return {id(left), id(right), id(std::string(left) + std::string(right))};
}

void check_token_text(std::string_view text, size_t id) {
  if (text.size() > kMaxTokenBytes)
    fail(ErrorCode::limit, "token {} has {} bytes, more than the {} allowed", id, text.size(), kMaxTokenBytes);
}

void check_token_limits(size_t n_tokens, size_t n_merges) {
  if (n_tokens > kMaxTokens) fail(ErrorCode::limit, "{} tokens are more than the {} allowed", n_tokens, kMaxTokens);
  if (n_merges > kMaxMerges) fail(ErrorCode::limit, "{} merges are more than the {} allowed", n_merges, kMaxMerges);
}

void add_known_eog(Vocab& v) {
  static constexpr std::string_view kEnds[] = {"<|eot_id|>",
                                               "<|im_end|>",
                                               "<|end|>",
                                               "<|return|>",
                                               "<|call|>",
                                               "<end_of_turn>",
                                               "<turn|>",
                                               "<|endoftext|>",
                                               "<|end_of_text|>",
                                               "<|eom_id|>",
                                               "<EOT>",
                                               "_<EOT>",
                                               "<|EOT|>",
                                               "<|eot|>",
                                               "<\xEF\xBD\x9C"
                                               "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                               "<|end_of_sentence|>",
                                               "<end_of_utterance>",
                                               "<|eom|>",
                                               "<|fim_eot|>"};
  std::unordered_map<std::string_view, int32_t> found;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.types[i] != TokenType::control && v.types[i] != TokenType::user_defined) continue;
    found.emplace(v.tokens[i], static_cast<int32_t>(i));
  }
  // In the "harmony" format <|end|> ends a message, not the turn.
  const bool harmony = found.contains("<|return|>") && found.contains("<|call|>");
  for (std::string_view text : kEnds)
    if (const auto it = found.find(text); it != found.end() && !(harmony && text == "<|end|>")) v.eog.push_back(it->second);
  // Phi-3 says so in its generation_config.json: a new turn of the assistant's own is an end too.
  if (v.model == VocabModel::spm && found.contains("<|end|>") && found.contains("<|user|>") && found.contains("<|assistant|>"))
    v.eog.push_back(found.at("<|assistant|>"));
  if (v.eos >= 0) v.eog.push_back(v.eos);
  if (v.eot >= 0) v.eog.push_back(v.eot);
  std::sort(v.eog.begin(), v.eog.end());
  v.eog.erase(std::unique(v.eog.begin(), v.eog.end()), v.eog.end());
}

}  // namespace phial
