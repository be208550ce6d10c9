// A conversation as the model's template wants it, ready to be tokenized.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "phial/chat_template.h"
#include "phial/tokenizer.h"

namespace phial::cli {

/// The variables every template of Hugging Face gets: messages, tools, add_generation_prompt, bos_token, eos_token, ...
nlohmann::ordered_json template_variables(const Tokenizer* tokenizer, const nlohmann::ordered_json& messages,
                                          bool add_generation_prompt);

/// Renders and tokenizes a conversation; texts of special tokens inside a message's content stay plain text.
std::vector<int32_t> chat_tokens(const ChatTemplate& chat, const Tokenizer& tokenizer, const nlohmann::ordered_json& messages,
                                 const nlohmann::ordered_json& more_variables);

}  // namespace phial::cli
