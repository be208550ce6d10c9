// A regular expression over tensor names, searched anywhere in the name (Oniguruma, Perl syntax).
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace phial {

class NamePattern {
 public:
  /// Throws ARGUMENT naming the option when the expression is wrong.
  NamePattern(const std::string& regex, std::string_view option);
  bool matches(std::string_view name) const;

 private:
  std::shared_ptr<void> regex_;
};

}  // namespace phial
