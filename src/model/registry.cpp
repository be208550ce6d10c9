// The list of architectures: one line each.
#include <array>
#include <string_view>

#include "base/fail.h"
#include "model/arch.h"

namespace phial {

extern const Architecture kPhi3, kLlama, kQwen2, kQwen3;

namespace {

constexpr std::array kArchitectures{
    &kPhi3,
    &kLlama,
    &kQwen2,
    &kQwen3,
};

}  // namespace

std::span<const Architecture* const> architectures() { return kArchitectures; }

const Architecture& architecture_by_gguf(const std::string& name) {
  std::string names;
  for (const Architecture* a : kArchitectures) {
    if (name == a->gguf_name) return *a;
    names += (names.empty() ? "" : ", ") + std::string(a->gguf_name);
  }
  fail(ErrorCode::unsupported, "architecture '{}' is not supported; there are: {}", printable(name), names);
}

const Architecture& architecture_by_hf(const std::string& name) {
  std::string names;
  for (const Architecture* a : kArchitectures) {
    for (const char* hf : a->hf_names) {
      if (name == hf) return *a;
      names += (names.empty() ? "" : ", ") + std::string(hf);
    }
  }
  fail(ErrorCode::unsupported, "architecture '{}' is not supported; there are: {}", printable(name), names);
}

}  // namespace phial
