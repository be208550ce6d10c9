// Carries out the AMX instructions on processors that lack them: each raises SIGILL, whose handler decodes it, works on
// tiles of its own and goes on behind it. So the compiled kernels run in tests, byte for byte, without the hardware.
#pragma once

namespace phial::test {

/// Sets the handler; doctest takes it away at the end of a test case. An instruction that is not AMX, that AMX would
/// refuse (no configuration, shapes that do not fit) or that is not known here kills the process as without it.
void trap_amx();

}  // namespace phial::test
