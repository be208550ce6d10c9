// Typed reads of metadata. A value of another type is an error that names the key, never a silent conversion.
#include "formats/metadata.h"

#include <limits>
#include <type_traits>
#include <utility>

#include "base/fail.h"

namespace phial {
namespace {

/// The value as int64 when it is of an integer type (not bool) and fits.
std::optional<int64_t> as_integer(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (std::in_range<int64_t>(v)) return static_cast<int64_t>(v);
        }
        return std::nullopt;
      },
      value);
}

std::optional<double> as_real(const MetaValue& value) {
  if (auto* f = std::get_if<float>(&value)) return *f;
  if (auto* d = std::get_if<double>(&value)) return *d;
  return std::nullopt;
}

[[noreturn]] void missing(std::string_view key) {
  fail(ErrorCode::hparam, "metadata key {} is missing; the file is incomplete or of another kind of model", printable(key));
}

}  // namespace

const char* meta_type_name(const MetaValue& value) {
  constexpr const char* kNames[] = {"u8",     "i8",    "u16",   "i16",    "u32",      "i32",   "f32",   "bool",
                                    "string", "u64",   "i64",   "f64",    "u8[]",     "i8[]",  "u16[]", "i16[]",
                                    "u32[]",  "i32[]", "f32[]", "bool[]", "string[]", "u64[]", "i64[]", "f64[]"};
  static_assert(std::size(kNames) == std::variant_size_v<MetaVariant>);
  return kNames[value.index()];
}

void Metadata::set(const std::string& key, MetaValue value) {
  if (const auto place = index_.add(key, KeyOf{entries_}))
    entries_[*place].second = std::move(value);
  else
    entries_.emplace_back(key, std::move(value));
}

void Metadata::reserve(size_t n) {
  entries_.reserve(n);
  index_.reserve(n, KeyOf{entries_});
}

void Metadata::erase(const std::string& key) {
  const auto place = index_.find(key, KeyOf{entries_});
  if (!place) return;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(*place));
  index_.clear();
  for (const auto& [name, value] : entries_) index_.add(name, KeyOf{entries_});
}

const MetaValue* Metadata::find(std::string_view key) const {
  const auto place = index_.find(key, KeyOf{entries_});
  return place ? &entries_[*place].second : nullptr;
}

void Metadata::wrong_type(std::string_view key) const {
  fail(ErrorCode::type, "metadata key {} has the type {}, which is not what belongs there, or its value is out of range",
       printable(key), meta_type_name(*find(key)));
}

int64_t Metadata::integer(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) missing(key);
  if (const auto i = as_integer(*value)) return *i;
  wrong_type(key);
}

int64_t Metadata::integer(std::string_view key, int64_t otherwise) const { return has(key) ? integer(key) : otherwise; }

double Metadata::real(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) missing(key);
  if (const auto d = as_real(*value)) return *d;
  wrong_type(key);
}

double Metadata::real(std::string_view key, double otherwise) const { return has(key) ? real(key) : otherwise; }

bool Metadata::boolean(std::string_view key, bool otherwise) const {
  const MetaValue* value = find(key);
  if (!value) return otherwise;
  if (auto* b = std::get_if<bool>(value)) return *b;
  wrong_type(key);
}

const std::string& Metadata::text(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) missing(key);
  if (auto* s = std::get_if<std::string>(value)) return *s;
  wrong_type(key);
}

std::string Metadata::text(std::string_view key, std::string otherwise) const {
  return has(key) ? text(key) : std::move(otherwise);
}

}  // namespace phial
