// JSON as text, written value by value with one space of indent per level. Nothing is kept as a tree: a tree of the library
// allocates when it is destroyed, which ends the process where there is no memory.
// ASCII only; bytes that are not UTF-8 become U+FFFD, NaN and infinities null.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace phial {

/// The text of a boolean, number or string.
template <typename T>
std::string json_scalar(const T& value) {
  static_assert(std::is_arithmetic_v<T> || std::is_convertible_v<const T&, std::string_view>);
  return nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

class JsonWriter {
 public:
  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  /// The name of the next value; in objects only.
  void key(std::string_view name);
  /// Text that is JSON already.
  void raw(std::string_view text);

  template <typename T>
  void value(const T& value) {
    raw(json_scalar(value));
  }
  template <typename T>
  void value(const std::vector<T>& values) {
    begin_array();
    for (const T& one : values) value(one);
    end_array();
  }
  template <typename T>
  void member(std::string_view name, const T& its) {
    key(name);
    value(its);
  }

  /// The finished document.
  std::string take() { return std::move(text_); }

 private:
  void begin(char open);
  void end(char close);
  void line();

  std::string text_;
  size_t depth_ = 0;
  bool empty_ = true, named_ = false;  // nothing in this container yet; a key waits for its value
};

}  // namespace phial
