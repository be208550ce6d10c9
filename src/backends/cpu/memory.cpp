// Anonymous memory in huge pages where the system grants them.
#include <sys/mman.h>

#include "backends/cpu/weight_storage.h"
#include "base/checked.h"

namespace phial::cpu {

std::shared_ptr<std::byte> allocate_pages(uint64_t n_bytes, bool huge_pages) {
  constexpr uint64_t kHuge = 2u << 20;
  const bool large = n_bytes >= kHuge;
  // Room to move the start to a 2 MiB border; what lies outside is never touched and so costs nothing.
  const uint64_t mapped = (CheckedSize(n_bytes ? n_bytes : 1) + (large ? kHuge : 0)).aligned(4096).value();
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    fail(ErrorCode::no_memory, "no memory for {} bytes; close other programs, or use --mmap or a smaller context", n_bytes);
  const auto address = reinterpret_cast<uintptr_t>(base);
  std::byte* data = static_cast<std::byte*>(base) + (large ? (kHuge - address % kHuge) % kHuge : 0);
  if (large && huge_pages) madvise(data, n_bytes, MADV_HUGEPAGE);  // refusal costs speed only
  return {data, [base, mapped](std::byte*) { munmap(base, mapped); }};
}

}  // namespace phial::cpu
