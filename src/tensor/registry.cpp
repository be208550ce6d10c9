// The list of backends: one line each.
#include "tensor/registry.h"

#include "base/fail.h"

namespace phial {

std::unique_ptr<Device> open_reference_device(const DeviceOptions& options);
std::unique_ptr<Device> open_cpu_device(const DeviceOptions& options);

const std::vector<BackendEntry>& backends() {
  static const std::vector<BackendEntry> entries{
      {"cpu", "x86-64 and ARM cores, the fastest instruction set found", open_cpu_device},
      {"reference", "plain loops: the definition of every operation", open_reference_device},
  };
  return entries;
}

std::unique_ptr<Device> open_device(const std::string& name, const DeviceOptions& options) {
  std::string names;
  for (const BackendEntry& b : backends()) {
    if (name == b.name) return b.open(options);
    names += (names.empty() ? "" : ", ") + std::string(b.name);
  }
  fail(ErrorCode::unsupported, "no device '{}'; there are: {}", printable(name), names);
}

}  // namespace phial
