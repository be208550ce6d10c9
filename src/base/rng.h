// Random numbers that are the same on every machine: PCG32 (XSH-RR 64/32, M. O'Neill 2014), seeded through splitmix64.
// Changing anything here changes every seeded text.
#pragma once

#include <cstdint>

namespace phial {

class Rng {
 public:
  explicit Rng(uint64_t seed = 0) { reseed(seed); }

  void reseed(uint64_t seed) {
    state_ = splitmix(seed);
    increment_ = splitmix(seed) | 1;
    next_u32();
  }

  uint32_t next_u32() {
    const uint64_t old = state_;
    state_ = old * 6364136223846793005ull + increment_;
    const uint32_t mixed = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
    const uint32_t turn = static_cast<uint32_t>(old >> 59);
    return (mixed >> turn) | (mixed << ((32 - turn) & 31));
  }

  /// Uniform in [0, 1), 53 random bits.
  double uniform() {
    const uint64_t high = next_u32() >> 5, low = next_u32() >> 6;
    return static_cast<double>(high * 67108864 + low) * 0x1p-53;
  }

 private:
  static uint64_t splitmix(uint64_t& x) {
    uint64_t z = (x += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

  uint64_t state_ = 0, increment_ = 1;
};

}  // namespace phial
