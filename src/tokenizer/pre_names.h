// llama.cpp's names of pre-tokenizers (tokenizer.ggml.pre) and the rules they stand for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/text_rules.h"

namespace phial {

/// What a name says, as the tokenizer.json of that model family has it.
struct NamedRules {
  TextRules rules;
  bool ignore_merges = false;
  bool add_bos = false;     // where tokenizer.ggml.add_bos_token is missing
  bool plain_text = false;  // merges run over the text itself, with byte tokens <0xXX> for what has none (Gemma 4)
};

/// Empty for an unknown name.
std::optional<NamedRules> rules_of_pre_name(std::string_view name);

/// The name whose words are the same by comparing the rules; "" when no name says these rules. A normalizer of NFC does not
/// count, since llama.cpp applies none.
std::string pre_name_of_rules(const TextRules& rules, bool ignore_merges);

}  // namespace phial
