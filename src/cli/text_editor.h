// A text given to the person's own editor.
#pragma once

#include <optional>
#include <string>

namespace phial::cli {

/// The text as $VISUAL or $EDITOR left it; nothing when the editor failed. Throws Usage when no temporary file can be made.
/// Call only when has_text_editor().
std::optional<std::string> edit_in_text_editor(const std::string& text);
bool has_text_editor();

}  // namespace phial::cli
