// What this machine has and what of it is used.
#pragma once

#include <string>
#include <vector>

namespace phial {

struct DoctorLine {
  std::string subject;  // "CPU", "huge pages"
  std::string state;    // "ok", "unused", "missing"
  std::string text;     // what was found, and what to do
};
std::vector<DoctorLine> doctor();

}  // namespace phial
