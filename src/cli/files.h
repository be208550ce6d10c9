// Reading what a person points at.
#pragma once

#include <string>

namespace phial::cli {

/// The whole of a file, or of standard input for "-". Throws Usage when it cannot be read.
std::string read_input(const std::string& path);

/// \n, \t, \\, \", \' and \xNN in a prompt, as llama-cli reads them.
std::string unescape(const std::string& text);

}  // namespace phial::cli
