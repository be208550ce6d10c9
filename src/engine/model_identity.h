// Which model this is, to the bit: a hash of the whole of its files and of what --override-kv changed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"

namespace phial {

using ModelIdentity = std::array<uint64_t, 2>;

/// Reads all files once, in parallel.
ModelIdentity identify_model(const std::vector<std::shared_ptr<InputFile>>& files, const std::vector<std::string>& override_kv,
                             ThreadPool& pool);

}  // namespace phial
