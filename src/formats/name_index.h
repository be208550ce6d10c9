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

  /// Adds a name that is not there yet; its place is the number of names added before.
  template <typename NameOf>
  void add(std::string_view name, NameOf&& name_of) {
    if ((n_ + 1) * 4 > slots_.size() * 3) {
      slots_.assign(slots_.empty() ? 16 : slots_.size() * 2, 0);
      for (size_t i = 0; i < n_; ++i) put(name_of(i), i);
    }
    put(name, n_++);
  }

  void clear() {
    slots_.clear();
    n_ = 0;
  }

 private:
  void put(std::string_view name, size_t place) {
    const size_t mask = slots_.size() - 1;
    size_t s = keyed_hash(name) & mask;
    while (slots_[s] != 0) s = (s + 1) & mask;
    slots_[s] = static_cast<uint32_t>(place + 1);
  }

  std::vector<uint32_t> slots_;  // place + 1; 0 = free; a power of two of them, at most 3/4 full
  size_t n_ = 0;
};

}  // namespace phial
