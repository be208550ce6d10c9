// Messages of a conversation, in the shape of OpenAI's API: [{"role": "user", "content": "..."}, ...].
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace phial::cli {

/// Messages from JSON text: a list, or an object with "messages". Every message is an object with a "role"; its "content" is
/// a text, a list of parts, or null. Throws Usage with the place that is wrong; `where` names the text.
nlohmann::ordered_json parse_messages(const std::string& text, const std::string& where);
nlohmann::ordered_json checked_messages(nlohmann::ordered_json value, const std::string& where);

/// JSON text for files and programs; bytes that are no UTF-8 are replaced.
std::string json_text(const nlohmann::ordered_json& value, int indent);

/// JSON from a program or a person, at most 64 deep. Throws Usage.
nlohmann::ordered_json parse_shallow_json(const std::string& text, const std::string& where);

std::string message_role(const nlohmann::ordered_json& message);
/// The text of a message: its content, or the text parts of it.
std::string message_text(const nlohmann::ordered_json& message);
nlohmann::ordered_json message_of(const std::string& role, const std::string& content);
/// Index of the last message of the user; -1 = none.
int last_user_message(const nlohmann::ordered_json& messages);

}  // namespace phial::cli
