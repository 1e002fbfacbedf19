// Renders all rows of a source and writes them, split, into a folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/dataset_mix.h"
#include "data/manifest.h"
#include "data/prepare.h"
#include "data/source_files.h"

namespace anneal {

struct BuildInput {
  const DatasetOptions& options;
  std::uint64_t split_seed;
  std::vector<MixedDataset> datasets;
  std::vector<SourceFiles> sources;  // of each dataset
};

// Fills the folder `target`, which holds nothing yet, with the three files. `manifest` has the recipe, and
// gets all but the source.
void build_data(const BuildInput& input, const std::filesystem::path& target, Manifest& manifest,
                const Log& log);

}  // namespace anneal
