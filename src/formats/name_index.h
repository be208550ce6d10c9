// From a name to its place in a list that somebody else owns. Compact (about 8 bytes a name), and keyed with a random
// number per process, so that no file can be made whose names all collide.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace phial {

/// SipHash-1-3 of the text under the process's random key.
uint64_t keyed_hash(std::string_view text);

class NameIndex {
 public:
  /// The place of `name`; name_of(i) gives the name at place i.
  template <typename NameOf>
  std::optional<size_t> find(std::string_view name, NameOf&& name_of) const {
    if (slots_.empty()) return std::nullopt;
    const size_t mask = slots_.size() - 1;
    for (size_t s = keyed_hash(name) & mask; slots_[s] != 0; s = (s + 1) & mask)
      if (name_of(slots_[s] - 1) == name) return slots_[s] - 1;
    return std::nullopt;
  }

  /// Adds a name; its place is the number of names added before. Returns the place of the same name instead when there is one.
  template <typename NameOf>
  std::optional<size_t> add(std::string_view name, NameOf&& name_of) {
    if ((n_ + 1) * 4 > slots_.size() * 3) resize(slots_.empty() ? 16 : slots_.size() * 2, name_of);
    const size_t mask = slots_.size() - 1;
    size_t s = keyed_hash(name) & mask;
    for (; slots_[s] != 0; s = (s + 1) & mask)
      if (name_of(slots_[s] - 1) == name) return slots_[s] - 1;
    slots_[s] = static_cast<uint32_t>(++n_);
    return std::nullopt;
  }

  /// Room for n names in all.
  template <typename NameOf>
  void reserve(size_t n, NameOf&& name_of) {
    size_t n_slots = 16;
    while (n * 4 > n_slots * 3) n_slots *= 2;
    if (n_slots > slots_.size()) resize(n_slots, name_of);
  }

  void clear() {
    slots_.clear();
    n_ = 0;
  }

 private:
  template <typename NameOf>
  void resize(size_t n_slots, NameOf&& name_of) {
    slots_.assign(n_slots, 0);
    for (size_t i = 0; i < n_; ++i) {
      size_t s = keyed_hash(name_of(i)) & (n_slots - 1);
      while (slots_[s] != 0) s = (s + 1) & (n_slots - 1);
      slots_[s] = static_cast<uint32_t>(i + 1);
    }
  }

  std::vector<uint32_t> slots_;  // place + 1; 0 = free; a power of two of them, at most 3/4 full
  size_t n_ = 0;
};

}  // namespace phial
