// Oniguruma behind a name.
#include "quant/name_pattern.h"

#include <oniguruma.h>

#include "base/fail.h"

namespace phial {
namespace {

const OnigUChar* bytes(std::string_view text) { return reinterpret_cast<const OnigUChar*>(text.data()); }

}  // namespace

NamePattern::NamePattern(const std::string& regex, std::string_view option) {
  static const bool ready = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1) == ONIG_NORMAL;
  }();
  PHIAL_CHECK(ready);
  OnigRegex compiled = nullptr;
  OnigErrorInfo info{};
  const int status = onig_new(&compiled, bytes(regex), bytes(regex) + regex.size(), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                              ONIG_SYNTAX_PERL, &info);
  if (status != ONIG_NORMAL) {
    OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
    const int length = onig_error_code_to_str(text, status, &info);
    fail(ErrorCode::argument, "{}: '{}' is not a regular expression: {}", option, printable(regex),
         std::string_view(reinterpret_cast<const char*>(text), static_cast<size_t>(length)));
  }
  regex_ = std::shared_ptr<void>(compiled, [](void* r) { onig_free(static_cast<OnigRegex>(r)); });
}

bool NamePattern::matches(std::string_view name) const {
  const OnigUChar* end = bytes(name) + name.size();
  return onig_search(static_cast<OnigRegex>(regex_.get()), bytes(name), end, bytes(name), end, nullptr, ONIG_OPTION_NONE) >= 0;
}

}  // namespace phial
