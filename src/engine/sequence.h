// A running text: its tokens, and how many of them lie in the KV cache.
#pragma once

#include <cstdint>
#include <vector>

namespace phial {

struct Sequence {
  std::vector<int32_t> tokens;
  int64_t n_computed = 0;  // tokens whose keys and values are in the pages
  int32_t rope_set = 0;    // the set they were rotated by
  std::vector<int32_t> pages;

  int64_t n_pending() const { return static_cast<int64_t>(tokens.size()) - n_computed; }
};

}  // namespace phial
