// Filling general.* and applying overrides.
#include "convert/general_metadata.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "base/fail.h"
#include "base/file.h"

namespace phial {
namespace {

constexpr uint64_t kMaxCardBytes = 4u << 20;
constexpr size_t kMaxCardItems = 256;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  return text;
}

using Card = std::map<std::string, std::vector<std::string>, std::less<>>;

/// The plain part of the YAML between the first two "---" lines: "key: value", "key: [a, b]" and "- item" lists.
Card read_card(const std::string& path) {
  Card card;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored) || std::filesystem::file_size(path, ignored) > kMaxCardBytes) return card;
  const std::string text = read_text_file(path, kMaxCardBytes);
  std::string_view rest = text, key;
  size_t n_items = 0;
  bool inside = false;
  while (!rest.empty() && n_items < kMaxCardItems) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (trimmed(line) == "---") {
      if (inside) return card;
      inside = true;
      continue;
    }
    if (!inside) return card;
    const std::string_view item = trimmed(line);
    if (item.starts_with("- ")) {
      const std::string_view value = trimmed(item.substr(2));
      if (!key.empty() && value.find(':') == std::string_view::npos) card[std::string(key)].emplace_back(value), ++n_items;
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.empty() || line[0] == ' ' || line[0] == '#') continue;
    key = trimmed(line.substr(0, colon));
    std::string_view value = trimmed(line.substr(colon + 1));
    if (value.size() >= 2 && value.front() == '[' && value.back() == ']') {
      value = value.substr(1, value.size() - 2);
      while (!value.empty()) {
        const size_t comma = value.find(',');
        card[std::string(key)].emplace_back(trimmed(value.substr(0, comma)));
        ++n_items;
        value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
      }
    } else if (!value.empty()) {
      card[std::string(key)].emplace_back(value);
      ++n_items;
    }
  }
  return card;
}

/// Name of the model: the folder's, or the Hub name the configuration remembers where the folder is a cache's snapshot.
std::string name_of(const Checkpoint& c) {
  const bool is_hash = c.folder_name.size() == 40 && c.folder_name.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_hash && !c.folder_name.empty()) return c.folder_name;
  const auto known = c.json.find("_name_or_path");
  if (known == c.json.end() || !known->is_string()) return c.folder_name;
  const std::string name = std::filesystem::path(known->get<std::string>()).filename().string();
  return name.empty() ? c.folder_name : name;
}

[[noreturn]] void bad_override(const std::string& where, const std::string& key, const char* wanted) {
  fail(ErrorCode::argument, "{}: {} must be {}", where, printable(key), wanted);
}

/// The JSON value in the type that the key has now.
template <typename T>
MetaValue in_type_of(const T&, const Json& json, const std::string& where, const std::string& key) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) bad_override(where, key, "true or false");
    return json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    const bool fits = json.is_number_unsigned()
                          ? std::cmp_less_equal(json.get<uint64_t>(), std::numeric_limits<T>::max())
                          : json.is_number_integer() &&
                                std::cmp_greater_equal(json.get<int64_t>(), std::numeric_limits<T>::min()) &&
                                std::cmp_less_equal(json.get<int64_t>(), std::numeric_limits<T>::max());
    if (!fits) bad_override(where, key, "an integer of the range that the key has");
    return json.is_number_unsigned() ? static_cast<T>(json.get<uint64_t>()) : static_cast<T>(json.get<int64_t>());
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) bad_override(where, key, "a number");
    return static_cast<T>(json.get<double>());
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) bad_override(where, key, "a string");
    return json.get<std::string>();
  } else {
    using Element = typename T::value_type;
    if (!json.is_array()) bad_override(where, key, "a list");
    T out;
    for (const Json& e : json) out.push_back(std::get<Element>(in_type_of(Element{}, e, where, key)));
    return out;
  }
}

/// A type for a key that is new.
MetaValue in_natural_type(const Json& json, const std::string& where, const std::string& key) {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_float()) return static_cast<float>(json.get<double>());
  if (json.is_number_unsigned()) {
    const auto u = json.get<uint64_t>();
    if (u <= std::numeric_limits<uint32_t>::max()) return static_cast<uint32_t>(u);
    return u;
  }
  if (json.is_number_integer()) {
    const auto i = json.get<int64_t>();
    if (i >= std::numeric_limits<int32_t>::min()) return static_cast<int32_t>(i);
    return i;
  }
  if (json.is_array() && !json.empty()) {
    if (json[0].is_string()) return in_type_of(std::vector<std::string>{}, json, where, key);
    if (json[0].is_boolean()) return in_type_of(std::vector<bool>{}, json, where, key);
    for (const Json& e : json)
      if (e.is_number_float()) return in_type_of(std::vector<float>{}, json, where, key);
    return in_type_of(std::vector<int32_t>{}, json, where, key);
  }
  bad_override(where, key, "a string, number, boolean, or a list of one of them that is not empty");
}

}  // namespace

std::string size_label(uint64_t n_parameters) {
  const auto n = static_cast<double>(n_parameters);
  const auto [scale, unit] = n > 1e12  ? std::pair(1e12, 'T')
                             : n > 1e9 ? std::pair(1e9, 'B')
                             : n > 1e6 ? std::pair(1e6, 'M')
                                       : std::pair(1e3, 'K');
  const double scaled = n / scale;
  return std::round(scaled) < 10 ? fmt::format("{:.1f}{}", scaled, unit) : fmt::format("{:.0f}{}", scaled, unit);
}

void describe_model(const Checkpoint& c, const std::string& model_name, uint64_t n_parameters, Metadata& m) {
  m.set("general.architecture", std::string(c.architecture->gguf_name));
  m.set("general.type", std::string("model"));
  m.set("general.name", model_name.empty() ? name_of(c) : model_name);
  if (n_parameters > 0) m.set("general.size_label", size_label(n_parameters));
  const Card card = read_card(c.folder + "/README.md");
  auto text = [&](const char* from, const char* key) {
    if (auto it = card.find(from); it != card.end()) m.set(key, it->second[0]);
  };
  text("license", "general.license");
  text("license_name", "general.license.name");
  text("license_link", "general.license.link");
  std::vector<std::string> tags;
  if (auto it = card.find("tags"); it != card.end()) tags = it->second;
  if (auto it = card.find("pipeline_tag"); it != card.end()) tags.push_back(it->second[0]);
  if (!tags.empty()) m.set("general.tags", tags);
  if (auto it = card.find("language"); it != card.end()) m.set("general.languages", it->second);
}

void apply_metadata_json(const Json& json, const std::string& where, Metadata& m) {
  if (!json.is_object()) fail(ErrorCode::argument, "{} must hold an object of metadata keys and values", where);
  for (const auto& [key, value] : json.items()) {
    if (key == "general.architecture" || key == "general.file_type" || key == "general.quantization_version" ||
        key.starts_with("split."))
      fail(ErrorCode::argument, "{}: {} describes the file itself and cannot be replaced", where, printable(key));
    if (value.is_null()) {
      m.erase(key);
    } else if (const MetaValue* now = m.find(key)) {
      m.set(key, std::visit([&](const auto& v) { return in_type_of(v, value, where, key); }, *now));
    } else {
      m.set(key, in_natural_type(value, where, key));
    }
  }
}

}  // namespace phial
