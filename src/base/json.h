// JSON from files and users: the nlohmann library with our limits (depth, duplicate keys, trailing data).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace phial {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order of keys, as chat templates need it

struct JsonLimits {
  int max_depth = 128;
  bool allow_duplicate_keys = false;
};

/// Parses one JSON document. `where` names the source in errors (JSON, DUP, DEPTH), which carry the byte offset.
Json parse_json(std::string_view text, const std::string& where, JsonLimits limits = {});
OrderedJson parse_ordered_json(std::string_view text, const std::string& where, JsonLimits limits = {});

}  // namespace phial
