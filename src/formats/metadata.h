// Metadata of a GGUF file: an ordered list of key and typed value. No model knowledge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "formats/name_index.h"

namespace phial {

using MetaVariant =
    std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string, uint64_t, int64_t, double,
                 std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>, std::vector<uint32_t>,
                 std::vector<int32_t>, std::vector<float>, std::vector<bool>, std::vector<std::string>, std::vector<uint64_t>,
                 std::vector<int64_t>, std::vector<double>>;

/// One GGUF value. Arrays are flat; their element type is the alternative held. bool arrays are std::vector<bool>.
class MetaValue : public MetaVariant {
 public:
  using MetaVariant::MetaVariant;
  MetaValue() = default;
  // GCC 12's variant ends the process when copying an alternative throws, so the alternative is copied before the variant is
  // made.
  MetaValue(const MetaValue& other)
      : MetaVariant(
            std::visit([](const auto& value) { return MetaVariant(std::in_place_type<std::decay_t<decltype(value)>>, value); },
                       static_cast<const MetaVariant&>(other))) {}
  MetaValue(MetaValue&&) noexcept = default;
  MetaValue& operator=(MetaValue other) noexcept {
    MetaVariant::operator=(std::move(static_cast<MetaVariant&>(other)));
    return *this;
  }
};

/// "u32", "string[]": for messages and listings.
const char* meta_type_name(const MetaValue& value);

class Metadata {
 public:
  /// Room for n keys.
  void reserve(size_t n);
  /// Adds or replaces; a new key goes to the end.
  void set(const std::string& key, MetaValue value);
  void erase(const std::string& key);
  const MetaValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const std::vector<std::pair<std::string, MetaValue>>& entries() const { return entries_; }

  // Typed reads. Any integer type is accepted for an integer when the value fits, any float for a float; another type
  // throws TYPE naming the key, a missing key without default throws HPARAM naming the key.
  int64_t integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t otherwise) const;
  double real(std::string_view key) const;
  double real(std::string_view key, double otherwise) const;
  bool boolean(std::string_view key, bool otherwise) const;
  const std::string& text(std::string_view key) const;
  std::string text(std::string_view key, std::string otherwise) const;
  /// An array of exactly this element type, or nullptr when absent; another type throws TYPE.
  template <typename T>
  const std::vector<T>* array(std::string_view key) const {
    const MetaValue* v = find(key);
    if (!v) return nullptr;
    if (auto* a = std::get_if<std::vector<T>>(v)) return a;
    wrong_type(key);
  }

 private:
  [[noreturn]] void wrong_type(std::string_view key) const;
  struct KeyOf {
    const std::vector<std::pair<std::string, MetaValue>>& entries;
    std::string_view operator()(size_t i) const { return entries[i].first; }
  };
  std::vector<std::pair<std::string, MetaValue>> entries_;
  NameIndex index_;
};

}  // namespace phial
