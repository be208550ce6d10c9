// --override-kv: metadata given on the command line in place of the file's.
#pragma once

#include <string>
#include <vector>

#include "formats/metadata.h"

namespace phial {

/// Each text is KEY=TYPE:VALUE with type int, float, bool or str, as llama.cpp's users write it. An integer or float takes
/// the type that the key has in the file. Throws ARGUMENT.
void override_metadata(Metadata& metadata, const std::vector<std::string>& texts);

}  // namespace phial
