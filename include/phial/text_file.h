// Writing a small file whole or not at all.
#pragma once

#include <string>
#include <string_view>

namespace phial {

/// The file appears complete under its name, or stays as it was. Throws NOTFOUND, NOTFILE, IO.
void write_text_file(const std::string& path, std::string_view text);

}  // namespace phial
