// The files of a split in a dataset's folder.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset_layout.h"
#include "data/source_files.h"

namespace anneal {

// All files below the folder, relative, with "/".
std::vector<std::string> names_in_folder(const std::filesystem::path& folder);

// A folder that save_to_disk() of the `datasets` library wrote; nothing for any other.
std::optional<SourceFiles> saved_dataset(const std::filesystem::path& folder, const DatasetPlace& place);

// `names`: all files of the folder, which need not be there yet. `card`: its README.md; may be no file.
DatasetLayout layout_of(const std::filesystem::path& card, const std::vector<std::string>& names,
                        const DatasetPlace& place);

SourceFiles source_of(const std::filesystem::path& folder, const std::vector<std::string>& names,
                      const DatasetLayout& layout, const DatasetPlace& place);

}  // namespace anneal
