// Failing allocations and reads, one place after the other: every allocation of a run throws std::bad_alloc in turn, every
// open and read of a file fails or is cut short in turn. After each run nothing may be left: no allocation, no file
// descriptor, no file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace phial::test {

enum class Fault {
  allocation,       // the n-th operator new fails
  all_allocations,  // the n-th and all after it
  read_error,       // the n-th open or read gives EIO
  interrupted,      // ... EINTR once
  short_read,       // ... one byte
  many_short_reads  // from the n-th on, one byte to a dozen each
};

struct FaultRuns {
  uint64_t places = 0;  // where the run could fail
  uint64_t tried = 0, failed = 0, succeeded = 0;
};

/// Runs `body` with the fault at place 1, 2, ... until it is beyond the last; `step` leaves places out. Checks after each
/// run: it succeeded, or threw bad_alloc or an Error of a fitting code; what it allocated and opened is given back; `folder`
/// holds the files it held before.
FaultRuns inject(Fault fault, const std::string& folder, const std::function<void()>& body, uint64_t step = 1);

}  // namespace phial::test
