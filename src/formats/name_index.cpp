// SipHash-1-3. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
#include "formats/name_index.h"

#include <bit>
#include <cstring>
#include <random>

namespace phial {
namespace {

struct Key {
  uint64_t k0, k1;
  Key() : k0(0x9e3779b97f4a7c15), k1(0xbf58476d1ce4e5b9) {
    try {
      std::random_device random;
      k0 ^= static_cast<uint64_t>(random()) << 32 | random();
      k1 ^= static_cast<uint64_t>(random()) << 32 | random();
    } catch (const std::exception&) {
      // Without a source of randomness the table still works; it only loses its protection.
    }
  }
};

}  // namespace

uint64_t keyed_hash(std::string_view text) {
  static const Key key;
  uint64_t v0 = key.k0 ^ 0x736f6d6570736575, v1 = key.k1 ^ 0x646f72616e646f6d;
  uint64_t v2 = key.k0 ^ 0x6c7967656e657261, v3 = key.k1 ^ 0x7465646279746573;
  const auto round = [&] {
    v0 += v1, v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1, v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  };
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    v3 ^= word;
    round();
    v0 ^= word;
  }
  uint64_t last = static_cast<uint64_t>(text.size()) << 56, tail = 0;
  std::memcpy(&tail, text.data() + i, text.size() - i);
  last |= tail;
  v3 ^= last;
  round();
  v0 ^= last;
  v2 ^= 0xff;
  round(), round(), round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace phial
