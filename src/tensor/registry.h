// Devices by name. A backend is one line in registry.cpp; nobody includes it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/stream.h"

namespace phial {

struct DeviceOptions {
  std::shared_ptr<ThreadPool> pool;
  std::string isa;  // "" = best; reference|avx2|avx_vnni|avx512|...
  bool huge_pages = true;
  bool low_memory = false;  // --mmap: keep weights in the file's map, unpacked
};

struct BackendEntry {
  const char* name;  // "cpu", "reference"
  const char* what;  // a line for doctor
  std::unique_ptr<Device> (*open)(const DeviceOptions&);
};

/// Throws UNSUPPORTED, naming what there is.
std::unique_ptr<Device> open_device(const std::string& name, const DeviceOptions& options);
const std::vector<BackendEntry>& backends();

}  // namespace phial
