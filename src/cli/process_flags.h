// Flags about the process rather than the work: processors, priority, memory locking, colours, log.
#pragma once

#include "flags.h"

namespace phial::cli {

/// They act while they are parsed, before anything is loaded and before threads start.
void add_process_flags(Flags& flags);
/// llama.cpp's --load-mode: sets `mmap`, locks memory.
void add_load_mode_flag(Flags& flags, bool& mmap);

}  // namespace phial::cli
