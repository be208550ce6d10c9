// Random damage to files, for tests and the mutation tool.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>

namespace phial::test {

/// The bytes with a few random changes: bytes, hostile integers, pieces cut out, put twice or at the end.
template <typename Random>
std::string damaged(std::string bytes, Random& random) {
  static constexpr uint64_t kHostile[] = {0, 1, 255, 65536, 1ull << 31, UINT32_MAX, 1ull << 61, 1ull << 63, UINT64_MAX};
  for (auto n = 1 + random() % 3; n-- > 0 && !bytes.empty();) {
    const size_t at = random() % bytes.size(), length = 1 + random() % 16;
    switch (random() % 5) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1: {
        const uint64_t value = kHostile[random() % std::size(kHostile)];
        bytes.replace(at, 8, reinterpret_cast<const char*>(&value), random() % 2 ? 8 : 4);
        break;
      }
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace phial::test
