// A GPU is tried once for each build, driver and model of GPU: a file in the user's cache says that it
// passed.
#pragma once
#include <c10/core/Device.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/selftest.h"

namespace anneal {

using Say = std::function<void(const std::string&)>;

// Before the first run on `device`, a GPU. Throws UserError(kResources) that names what it does not compute
// right.
void require_selftest(c10::Device device, const Say& say);

// Runs the checks unless `stamp` is there, and writes it where all passed; "" is no stamp.
void require_checks(const std::vector<SelfCheck>& checks, const std::filesystem::path& stamp, const Say& say);

// In $XDG_CACHE_HOME or ~/.cache, by a hash of `identity`; "" where there is neither.
std::filesystem::path selftest_stamp(const std::string& identity);

}  // namespace anneal
