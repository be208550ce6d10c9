// Text to token ids and back, exactly as Hugging Face's tokenizers give them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace phial {

struct Vocab;

class Tokenizer {
 public:
  /// From a GGUF file (its metadata only) or a checkpoint folder.
  static std::shared_ptr<const Tokenizer> open(const std::string& path);
  explicit Tokenizer(Vocab vocab);
  ~Tokenizer();

  /// add_special: BOS/EOS as the model wants them. parse_special: the texts of special tokens become their ids; otherwise
  /// they are plain text. Throws LIMIT above 2^31 - 1 tokens.
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const;
  /// A message's content made safe to put into a template: texts of special tokens in it are broken by a guard (noncharacter
  /// U+FDD0), which encode_rendered takes out again, so that a user cannot forge a turn.
  std::string guard_content(std::string_view content) const;
  /// A rendered template to ids: no BOS or EOS of its own, special tokens parsed, guarded content as plain text.
  std::vector<int32_t> encode_rendered(std::string_view text) const;
  /// True when the text holds the text of a control token ("<|user|>").
  bool holds_control_token(std::string_view text) const;
  /// Bytes of the tokens; special tokens are left out unless `special`. Throws TOKEN for an id out of range.
  std::string decode(std::span<const int32_t> ids, bool special = false) const;
  /// Bytes that one token adds in the middle of a text (streaming).
  std::string piece(int32_t id, bool special = false) const;

  int32_t vocab_size() const;
  int32_t bos() const;
  int32_t eos() const;
  bool is_end_of_generation(int32_t id) const;
  const std::string& chat_template() const;  // "" when the file has none
  const Vocab& vocab() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace phial
