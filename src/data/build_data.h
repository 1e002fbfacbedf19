// Renders all rows of a source and writes them, split, into a folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/manifest.h"
#include "data/prepare.h"

namespace anneal {

// Fills the folder `target`, which holds nothing yet, with the three files and then the manifest. `manifest`
// has recipe and source; the rest is completed.
void build_data(const DatasetOptions& options, std::uint64_t split_seed, const std::filesystem::path& target,
                Manifest& manifest, const Log& log);

}  // namespace anneal
