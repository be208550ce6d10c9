// JSON trees built from the library's SAX events, so that depth and duplicate keys are refused while the text is read.
// The library's reader keeps its own stack: nothing here recurses with the text.
#include "base/json.h"

#include <iterator>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fail.h"

namespace phial {
namespace {

/// Reads the text and tells how far the parser has come (one byte ahead of the token at hand).
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** progress) : at_(at), progress_(progress) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *progress_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** progress_;
};

template <typename Tree>
class TreeBuilder {
 public:
  TreeBuilder(Tree& root, const std::string& where, const JsonLimits& limits, const char* begin, const char* const* progress)
      : root_(root), where_(where), limits_(limits), begin_(begin), progress_(progress) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) { return put(value); }
  bool number_float(double value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(typename Tree::binary_t&) { return false; }

  bool start_object(size_t) { return open(Tree::object()); }
  bool start_array(size_t) { return open(Tree::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    auto& members = stack_.back()->template get_ref<typename Tree::object_t&>();
    bool is_new;
    if constexpr (std::is_same_v<Tree, OrderedJson>) {
      // The ordered map searches linearly; a map from key to place keeps hostile objects from taking quadratic time.
      const auto [place, inserted] = places_.back().try_emplace(name, members.size());
      is_new = inserted;
      typename Tree::object_t::Container& list = members;
      if (is_new) list.emplace_back(name, nullptr);
      member_ = &list[place->second].second;
    } else {
      const auto [member, inserted] = members.try_emplace(name, nullptr);
      is_new = inserted;
      member_ = &member->second;
    }
    if (!is_new && !limits_.allow_duplicate_keys)
      fail(ErrorCode::duplicate, "{}: the key \"{}\" appears twice in one object (near byte {})", where_, printable(name),
           offset());
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    fail(ErrorCode::json, "{}: not valid JSON at byte {}: {}", where_, position, printable(error.what(), 300));
  }

 private:
  size_t offset() const { return static_cast<size_t>(*progress_ - begin_); }

  template <typename Value>
  Tree& place(Value&& value) {
    if (stack_.empty()) return root_ = std::forward<Value>(value);
    Tree& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::forward<Value>(value));
      return parent.back();
    }
    return *member_ = std::forward<Value>(value);
  }
  template <typename Value>
  bool put(Value&& value) {
    place(Tree(std::forward<Value>(value)));
    return true;
  }
  bool open(Tree&& container) {
    if (static_cast<int>(stack_.size()) >= limits_.max_depth)
      fail(ErrorCode::depth, "{}: nested deeper than {} (near byte {})", where_, limits_.max_depth, offset());
    stack_.push_back(&place(std::move(container)));
    places_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    places_.pop_back();
    return true;
  }

  Tree& root_;
  const std::string& where_;
  const JsonLimits& limits_;
  const char* begin_;
  const char* const* progress_;
  // Parents stay where they are while a child is open: only the innermost container grows.
  std::vector<Tree*> stack_;
  std::vector<std::map<std::string, size_t>> places_;  // per open object, for ordered trees only
  Tree* member_ = nullptr;
};

constexpr int kTakenApart = 150;  // levels: more than files may have; deeper ones are left to the library, which does not recurse

template <typename Tree>
void empty(Tree& tree, int level) noexcept {
  if (level == kTakenApart) return;
  if (tree.is_array()) {
    auto& list = tree.template get_ref<typename Tree::array_t&>();
    for (Tree& one : list) empty(one, level + 1);
    list.clear();
  } else if (tree.is_object()) {
    auto& members = tree.template get_ref<typename Tree::object_t&>();
    for (auto& member : members) empty(member.second, level + 1);
    members.clear();
  }
}

template <typename Tree>
OwnedTree<Tree> parse(std::string_view text, const std::string& where, const JsonLimits& limits) {
  // The library takes a NUL byte for the end of the text and would not look at what follows.
  if (const size_t at = text.find('\0'); at != std::string_view::npos)
    fail(ErrorCode::json, "{}: not valid JSON: a NUL at byte {}", where, at);
  OwnedTree<Tree> root;
  const char* progress = text.data();
  TreeBuilder<Tree> builder(root, where, limits, text.data(), &progress);
  const CountingIterator begin(text.data(), &progress), end(text.data() + text.size(), &progress);
  if (!Tree::sax_parse(begin, end, &builder)) fail(ErrorCode::json, "{}: not valid JSON", where);
  return root;
}

}  // namespace

bool is_text(const Json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

void take_apart(Json& tree) noexcept { empty(tree, 0); }
void take_apart(OrderedJson& tree) noexcept { empty(tree, 0); }

JsonTree parse_json(std::string_view text, const std::string& where, JsonLimits limits) {
  return parse<Json>(text, where, limits);
}

OrderedJsonTree parse_ordered_json(std::string_view text, const std::string& where, JsonLimits limits) {
  return parse<OrderedJson>(text, where, limits);
}

}  // namespace phial
