// Parsing of KEY=TYPE:VALUE.
#include "formats/metadata_override.h"

#include <charconv>
#include <type_traits>
#include <utility>

#include "base/fail.h"

namespace phial {
namespace {

template <typename T>
T parse_number(const std::string& text, std::string_view value) {
  T out{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc() || end != value.data() + value.size())
    fail(ErrorCode::argument, "--override-kv {}: '{}' is no number of that type", printable(text), printable(value));
  return out;
}

/// `value` in the type of the file's value, if that is a number it fits in.
template <typename Number>
MetaValue as_type_of(const MetaValue* old, Number value, MetaValue otherwise) {
  if (!old) return otherwise;
  return std::visit(
      [&](const auto& o) -> MetaValue {
        using T = std::decay_t<decltype(o)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool> && std::is_integral_v<Number>) {
          if (std::in_range<T>(value)) return static_cast<T>(value);
        } else if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<Number>) {
          return static_cast<T>(value);
        }
        return otherwise;
      },
      *old);
}

}  // namespace

void override_metadata(Metadata& metadata, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const size_t colon = text.find(':', equals == std::string::npos ? 0 : equals);
    if (equals == std::string::npos || equals == 0 || colon == std::string::npos)
      fail(ErrorCode::argument, "--override-kv {}: write KEY=TYPE:VALUE, with type int, float, bool or str", printable(text));
    const std::string key = text.substr(0, equals), type = text.substr(equals + 1, colon - equals - 1);
    const std::string value = text.substr(colon + 1);
    const MetaValue* old = metadata.find(key);
    if (type == "int") {
      const auto n = parse_number<int64_t>(text, value);
      metadata.set(key, as_type_of(old, n, n >= 0 && n <= UINT32_MAX ? MetaValue(static_cast<uint32_t>(n)) : MetaValue(n)));
    } else if (type == "float") {
      const auto x = parse_number<double>(text, value);
      metadata.set(key, as_type_of(old, x, MetaValue(static_cast<float>(x))));
    } else if (type == "bool" && (value == "true" || value == "false")) {
      metadata.set(key, value == "true");
    } else if (type == "str") {
      metadata.set(key, value);
    } else {
      fail(ErrorCode::argument, "--override-kv {}: the type is int, float, bool (true, false) or str", printable(text));
    }
  }
}

}  // namespace phial
