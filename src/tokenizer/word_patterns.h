// Hand-written matchers of the pre-tokenizer patterns that most models use, ten times faster than the regular expressions.
// Each gives exactly what its pattern gives (the tests compare them); a pattern without a matcher runs as it is.
#pragma once

#include <cstddef>
#include <string_view>

namespace phial {

/// End of the match that begins at `begin` (< text.size()); `begin` when the pattern does not match there.
using WordPattern = size_t (*)(std::string_view text, size_t begin);

/// The matcher of a pattern, by the pattern's exact text; nullptr when there is none.
WordPattern find_word_pattern(std::string_view pattern);

// The patterns as the models' tokenizer.json files write them. (GPT-2's is kByteLevelPattern.)
extern const char* const kCl100kPattern;
extern const char* const kQwen2Pattern;
extern const char* const kO200kPattern;
extern const char* const kTekkenPattern;
extern const char* const kYoutuPattern;
extern const char* const kMiniCpm5Pattern;
extern const char* const kQwen35Pattern;
extern const char* const kUfakzekaPattern;
extern const char* const kSeedCoderPattern;
extern const char* const kDeepSeekV3Pattern;
extern const char* const kDeepSeekCjkPattern;
extern const char* const kDeepSeekV3CjkPattern;

}  // namespace phial
