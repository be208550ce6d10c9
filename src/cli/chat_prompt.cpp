// Conversations to tokens.
#include "chat_prompt.h"

#include "conversation.h"

namespace phial::cli {

using nlohmann::ordered_json;

ordered_json template_variables(const Tokenizer* tokenizer, const ordered_json& messages, bool add_generation_prompt) {
  ordered_json v;
  v["messages"] = messages;
  v["tools"] = nullptr;  // transformers gives these as None when they are not there
  v["documents"] = nullptr;
  v["add_generation_prompt"] = add_generation_prompt;
  if (tokenizer) {
    const auto text = [&](int32_t id) { return id >= 0 ? tokenizer->piece(id, true) : std::string(); };
    v["bos_token"] = text(tokenizer->bos());
    v["eos_token"] = text(tokenizer->eos());
  }
  return v;
}

std::vector<int32_t> chat_tokens(const ChatTemplate& chat, const Tokenizer& tokenizer, const ordered_json& messages,
                                 const ordered_json& more_variables) {
  ordered_json list = messages;
  for (ordered_json& m : list) {
    // What the model itself said keeps its own tokens; what others say cannot forge them.
    if (message_role(m) == "assistant" || !m.contains("content")) continue;
    ordered_json& content = m["content"];
    if (content.is_string()) content = tokenizer.guard_content(content.get<std::string>());
    if (content.is_array())
      for (ordered_json& part : content)
        if (part.contains("text")) part["text"] = tokenizer.guard_content(part["text"].get<std::string>());
  }
  ordered_json variables = template_variables(&tokenizer, list, true);
  variables.update(more_variables);
  const std::string text = chat.render(json_text(variables, -1));
  return tokenizer.encode_rendered(text);
}

}  // namespace phial::cli
