// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace phial {

/// Bytes free for use: the kernel's MemAvailable, and what the control group leaves, whichever is less. 0 = unknown.
uint64_t available_memory();

}  // namespace phial
