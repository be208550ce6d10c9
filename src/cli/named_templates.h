// Chat formats that people call by name (llama.cpp's --chat-template chatml).
#pragma once

#include <string>

namespace phial::cli {

/// "chatml, gemma, ..."
std::string template_names();
/// The Jinja text of a name; a text that holds Jinja itself is given back. Throws Usage.
std::string named_template(const std::string& name_or_text);

}  // namespace phial::cli
