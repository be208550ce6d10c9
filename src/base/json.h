// JSON from files and users: the nlohmann library with our limits (depth, duplicate keys, trailing data).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace phial {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order of keys, as chat templates need it

/// Empties a tree from its leaves on, which takes no memory.
void take_apart(Json& tree) noexcept;
void take_apart(OrderedJson& tree) noexcept;

/// A tree that is taken apart at its end. The library's own destructor allocates, so that it ends the process where there is
/// no memory: trees of files and requests are held as this type.
template <typename Tree>
class OwnedTree : public Tree {
 public:
  OwnedTree() = default;
  explicit OwnedTree(Tree&& tree) noexcept : Tree(std::move(tree)) {}
  OwnedTree(const OwnedTree&) = default;
  OwnedTree(OwnedTree&&) noexcept = default;
  OwnedTree& operator=(OwnedTree other) noexcept {
    this->swap(other);
    return *this;
  }
  ~OwnedTree() { take_apart(*this); }
};
using JsonTree = OwnedTree<Json>;
using OrderedJsonTree = OwnedTree<OrderedJson>;

/// Whether a value is this text. (The library's == makes a tree of the text, and may not throw where there is no memory.)
bool is_text(const Json& value, std::string_view text);

struct JsonLimits {
  int max_depth = 128;
  bool allow_duplicate_keys = false;
};

/// Parses one JSON document. `where` names the source in errors (JSON, DUP, DEPTH), which carry the byte offset.
JsonTree parse_json(std::string_view text, const std::string& where, JsonLimits limits = {});
OrderedJsonTree parse_ordered_json(std::string_view text, const std::string& where, JsonLimits limits = {});

}  // namespace phial
