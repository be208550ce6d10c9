// Code points of UTF-8 text, and the character classes and case mappings that Python's str methods use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace phial::tmpl {

bool is_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);
int64_t count_chars(std::string_view text);
/// Byte offset of the n-th code point (text.size() beyond the end).
size_t byte_offset(std::string_view text, int64_t n);
/// Reads one code point and moves `at` behind it; the text is valid UTF-8.
char32_t next_char(std::string_view text, size_t& at);
void append_char(std::string& out, char32_t c);
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view text);

bool is_space(char32_t c);      // str.isspace of one character; also \s of re
bool is_printable(char32_t c);  // str.isprintable
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_cased(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);  // Nd
bool is_digit(char32_t c);    // Nd and the superscripts and circled digits
bool is_numeric(char32_t c);  // Nd, Nl, No
bool is_word(char32_t c);     // \w of re
bool is_identifier_start(char32_t c);
bool is_identifier_part(char32_t c);

/// Python's str.upper, lower, title, capitalize, swapcase, casefold.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);
std::string fold_case(std::string_view text);

std::string_view strip(std::string_view text, bool left = true, bool right = true);

}  // namespace phial::tmpl
