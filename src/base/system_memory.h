// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace phial {

/// Bytes free for use: the kernel's MemAvailable, and what the control group leaves, whichever is less. 0 = unknown.
uint64_t available_memory();

/// Bytes of this process that lie in memory now. 0 = unknown.
uint64_t resident_memory();

/// The step in which touched memory is granted: a huge page where they are wanted and the system has them, else a small one.
uint64_t page_bytes(bool huge_pages);

/// Milliseconds that the system takes to grant one huge page, measured once. A virtual machine whose host fetches its memory
/// back when it is freed needs many times what clearing the page costs.
double huge_page_ms();
inline bool huge_pages_are_quick() { return huge_page_ms() < 1.0; }  // 2 GB/s

}  // namespace phial
