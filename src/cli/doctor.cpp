// phial doctor: what this machine has and what of it is used.
#include "phial/doctor.h"

#include <fmt/core.h>

#include "flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {

int doctor_verb(Flags& flags) {
  flags.about("What this machine has, what of it is used, and what to do about the rest.", "  phial doctor\n");
  if (!flags.parse()) return 0;
  for (const DoctorLine& line : doctor()) {
    const char* colour = line.state == "ok" ? kGreen : line.state == "missing" ? kRed : kYellow;
    fmt::print("{}{:<8}{} {:<14} {}\n", style(1, colour), line.state, style(1, kReset), line.subject, line.text);
  }
  return 0;
}

}  // namespace phial::cli
