// The decoder of the AMX instructions (VEX prefix, ModRM, SIB) and what they do, by Intel's manual.
#include "ops/amx_trap.h"

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "quant/half.h"

namespace phial::test {
namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

struct Tiles {
  bool configured = false;
  int n_rows[kTiles], row_bytes[kTiles];
  uint8_t bytes[kTiles][kRows][kRowBytes];
};
thread_local Tiles tiles;

uint64_t register_value(const ucontext_t& context, int number) {
  constexpr int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                           REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(context.uc_mcontext.gregs[order[number]]);
}

/// An instruction of three VEX bytes, opcode, ModRM and what follows; of the map 0F38, 128 bits, W0.
struct Instruction {
  bool valid = false, has_memory = false, has_index = false;
  int prefix = 0, opcode = 0, reg = 0, rm = 0, third = 0;  // third: VEX.vvvv
  uint64_t address = 0, stride = 0;                        // base + displacement; index * scale
  uint64_t next = 0;

  explicit Instruction(const ucontext_t& context) {
    uint64_t at = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
    const auto byte = [&at] { return *reinterpret_cast<const uint8_t*>(at++); };
    const auto displacement = [&at](int n) {
      int32_t value = *reinterpret_cast<const int8_t*>(at);
      if (n == 4) std::memcpy(&value, reinterpret_cast<const void*>(at), 4);
      at += static_cast<uint64_t>(n);
      return static_cast<uint64_t>(int64_t{value});
    };
    if (byte() != 0xC4) return;
    const int first = byte(), second = byte();
    if ((first & 31) != 2 || (second & 0x84) != 0) return;
    const int high_reg = ~first >> 7 & 1, high_index = ~first >> 6 & 1, high_base = ~first >> 5 & 1;
    third = ~second >> 3 & 15;
    prefix = second & 3;
    opcode = byte();
    const int modrm = byte(), mode = modrm >> 6;
    reg = (modrm >> 3 & 7) | high_reg << 3;
    rm = (modrm & 7) | high_base << 3;
    has_memory = mode != 3;
    if (has_memory) {
      bool has_base = true;
      int base = rm;
      if ((modrm & 7) == 4) {
        const int sib = byte(), index = (sib >> 3 & 7) | high_index << 3;
        has_index = index != 4;
        if (has_index) stride = register_value(context, index) << (sib >> 6);
        base = (sib & 7) | high_base << 3;
        has_base = mode != 0 || (sib & 7) != 5;
      } else if (mode == 0 && (modrm & 7) == 5) {
        address = displacement(4) + at;  // relative to the next instruction
        next = at;
        valid = true;
        return;
      }
      if (has_base) address = register_value(context, base);
      if (mode == 1) address += displacement(1);
      if (mode == 2 || !has_base) address += displacement(4);
    }
    next = at;
    valid = true;
  }
};

bool configure(const uint8_t* from) {
  if (from[0] != 1 || from[1] != 0) return false;
  for (int i = 2; i < 16; ++i)
    if (from[i] != 0) return false;
  for (int i = 0; i < 16; ++i) {
    uint16_t row_bytes;
    std::memcpy(&row_bytes, from + 16 + 2 * i, 2);
    const int rows = from[48 + i];
    const bool empty = row_bytes == 0 && rows == 0;
    if (i >= kTiles ? !empty : (row_bytes > kRowBytes || rows > kRows || (row_bytes == 0) != (rows == 0))) return false;
    if (i < kTiles) tiles.n_rows[i] = rows, tiles.row_bytes[i] = row_bytes;
  }
  std::memset(tiles.bytes, 0, sizeof tiles.bytes);
  return tiles.configured = true;
}

bool move(const Instruction& in, bool to_memory) {
  if (!tiles.configured || in.reg >= kTiles || tiles.n_rows[in.reg] == 0) return false;
  if (!to_memory) std::memset(tiles.bytes[in.reg], 0, sizeof tiles.bytes[in.reg]);
  for (int row = 0; row < tiles.n_rows[in.reg]; ++row) {
    auto* memory = reinterpret_cast<uint8_t*>(in.address + static_cast<uint64_t>(row) * in.stride);
    uint8_t* tile = tiles.bytes[in.reg][row];
    std::memcpy(to_memory ? memory : tile, to_memory ? tile : memory, static_cast<size_t>(tiles.row_bytes[in.reg]));
  }
  return true;
}

template <typename A, typename B>
bool dot_bytes(int c, int a, int b) {
  for (int m = 0; m < tiles.n_rows[c]; ++m)
    for (int k = 0; k < tiles.row_bytes[a] / 4; ++k)
      for (int n = 0; n < tiles.row_bytes[c] / 4; ++n) {
        uint32_t sum;
        std::memcpy(&sum, &tiles.bytes[c][m][4 * n], 4);
        for (int i = 0; i < 4; ++i)
          sum += static_cast<uint32_t>(int32_t{static_cast<A>(tiles.bytes[a][m][4 * k + i])} *
                                       static_cast<B>(tiles.bytes[b][k][4 * n + i]));
        std::memcpy(&tiles.bytes[c][m][4 * n], &sum, 4);
      }
  return true;
}

float normal_or_zero(float f) { return std::fpclassify(f) == FP_SUBNORMAL ? std::copysign(0.0f, f) : f; }

float bf16(const uint8_t* p) {
  const uint32_t bits = static_cast<uint32_t>(p[0]) << 16 | static_cast<uint32_t>(p[1]) << 24;
  float f;
  std::memcpy(&f, &bits, 4);
  return normal_or_zero(f);
}
float f16(const uint8_t* p) { return f16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8)); }

/// As Intel's manual describes TDPBF16PS and TDPFP16PS: the low and the high halves of the pairs are summed apart.
bool dot_halves(int c, int a, int b, float (*half)(const uint8_t*)) {
  for (int m = 0; m < tiles.n_rows[c]; ++m)
    for (int n = 0; n < tiles.row_bytes[c] / 4; ++n) {
      float low = 0, high = 0, sum;
      for (int k = 0; k < tiles.row_bytes[a] / 4; ++k) {
        const uint8_t *x = &tiles.bytes[a][m][4 * k], *w = &tiles.bytes[b][k][4 * n];
        low = normal_or_zero(std::fma(half(x), half(w), low));
        high = normal_or_zero(std::fma(half(x + 2), half(w + 2), high));
      }
      std::memcpy(&sum, &tiles.bytes[c][m][4 * n], 4);
      sum = normal_or_zero(normal_or_zero(sum) + normal_or_zero(low + high));
      std::memcpy(&tiles.bytes[c][m][4 * n], &sum, 4);
    }
  return true;
}

bool dot(const Instruction& in) {
  const int c = in.reg, a = in.rm, b = in.third;
  if (!tiles.configured || c >= kTiles || a >= kTiles || b >= kTiles || c == a || c == b || a == b) return false;
  if (tiles.n_rows[c] != tiles.n_rows[a] || tiles.row_bytes[c] != tiles.row_bytes[b] ||
      tiles.row_bytes[a] != 4 * tiles.n_rows[b] || tiles.n_rows[c] == 0 || tiles.n_rows[b] == 0)
    return false;
  if (in.opcode == 0x5C) return in.prefix >= 2 && dot_halves(c, a, b, in.prefix == 2 ? bf16 : f16);
  switch (in.prefix) {
    case 0:
      return dot_bytes<uint8_t, uint8_t>(c, a, b);
    case 1:
      return dot_bytes<uint8_t, int8_t>(c, a, b);
    case 2:
      return dot_bytes<int8_t, uint8_t>(c, a, b);
    default:
      return dot_bytes<int8_t, int8_t>(c, a, b);
  }
}

/// Prefixes: 0 none, 1 66, 2 F3, 3 F2.
bool carry_out(const Instruction& in) {
  if (!in.valid) return false;
  switch (in.opcode) {
    case 0x49:
      if (in.has_memory) return in.prefix == 0 && in.reg == 0 && configure(reinterpret_cast<const uint8_t*>(in.address));
      if (in.prefix == 0 && in.reg == 0 && in.rm == 0) return tiles.configured = false, true;
      if (in.prefix != 3 || in.rm != 0 || !tiles.configured || in.reg >= kTiles) return false;
      std::memset(tiles.bytes[in.reg], 0, sizeof tiles.bytes[in.reg]);
      return true;
    case 0x4B:
      return in.has_memory && in.has_index && in.prefix != 0 && move(in, in.prefix == 2);  // 66: a load past the nearest cache
    case 0x5C:
    case 0x5E:
      return !in.has_memory && dot(in);
    default:
      return false;
  }
}

void handle(int, siginfo_t*, void* opaque) {
  auto& context = *static_cast<ucontext_t*>(opaque);
  const Instruction in(context);
  if (carry_out(in))
    context.uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(in.next);
  else
    signal(SIGILL, SIG_DFL);  // it comes again
}

}  // namespace

void trap_amx() {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace phial::test
#else
namespace phial::test {
void trap_amx() {}
}  // namespace phial::test
#endif
