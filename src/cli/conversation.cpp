// Messages from and to JSON.
#include "conversation.h"

#include "flags.h"

namespace phial::cli {

using nlohmann::ordered_json;

namespace {

constexpr int kMaxDepth = 64;  // so that writing it again recurses no deeper

}  // namespace

ordered_json parse_shallow_json(const std::string& text, const std::string& where) {
  bool deep = false;
  const auto limit = [&](int depth, ordered_json::parse_event_t, ordered_json&) {
    deep = deep || depth > kMaxDepth;
    return !deep;
  };
  try {
    ordered_json value = ordered_json::parse(text, limit);
    if (deep) throw Usage(where + ": nested deeper than " + std::to_string(kMaxDepth));
    return value;
  } catch (const ordered_json::parse_error& e) {
    throw Usage(where + ": not valid JSON at byte " + std::to_string(e.byte));
  }
}

ordered_json checked_messages(ordered_json value, const std::string& where) {
  if (value.is_object() && value.contains("messages")) value = ordered_json(value["messages"]);
  if (!value.is_array()) throw Usage(where + ": a list of messages is wanted, or an object with \"messages\"");
  for (size_t i = 0; i < value.size(); ++i) {
    const ordered_json& m = value[i];
    const std::string place = where + ": message " + std::to_string(i + 1);
    if (!m.is_object() || !m.contains("role") || !m["role"].is_string())
      throw Usage(place + " is no object with a \"role\" and a \"content\"");
    const ordered_json content = m.value("content", ordered_json());
    if (!content.is_string() && !content.is_null() && !content.is_array())
      throw Usage(place + ": its content is neither a text nor a list of parts");
    if (content.is_array())
      for (const ordered_json& part : content)
        if (!part.is_object() || (part.contains("text") && !part["text"].is_string()))
          throw Usage(place + ": a part of its content is no object like {\"type\": \"text\", \"text\": \"...\"}");
  }
  return value;
}

ordered_json parse_messages(const std::string& text, const std::string& where) {
  return checked_messages(parse_shallow_json(text, where), where);
}

std::string json_text(const ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

std::string message_role(const ordered_json& message) { return message.value("role", std::string()); }

std::string message_text(const ordered_json& message) {
  const ordered_json content = message.value("content", ordered_json());
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  if (content.is_array())
    for (const ordered_json& part : content) text += part.value("text", std::string());
  return text;
}

ordered_json message_of(const std::string& role, const std::string& content) {
  ordered_json message;
  message["role"] = role;
  message["content"] = content;
  return message;
}

int last_user_message(const ordered_json& messages) {
  for (int i = static_cast<int>(messages.size()) - 1; i >= 0; --i)
    if (message_role(messages[static_cast<size_t>(i)]) == "user") return i;
  return -1;
}

}  // namespace phial::cli
