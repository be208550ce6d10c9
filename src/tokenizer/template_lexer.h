// Tokens of a Jinja template under trim_blocks and lstrip_blocks. Facts: Jinja's documentation, "Whitespace Control", and
// the behaviour of jinja2 3.1.6.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace phial::tmpl {

enum class TokenType : uint8_t { data, print_begin, print_end, block_begin, block_end, name, string, integer, floating, op, end };

struct Token {
  TokenType type = TokenType::end;
  std::string text;  // data, name, string contents, operator
  int64_t integer = 0;
  double floating = 0;
  int line = 1;
};

/// Throws TEMPLATE with the line.
std::vector<Token> tokenize(const std::string& source);

}  // namespace phial::tmpl
