// What lies in a folder.
#pragma once
#include <filesystem>
#include <vector>

namespace anneal {

// Sorted; none where the folder is missing or cannot be read.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

// All files, those in its folders too, relative to it and sorted. Throws filesystem_error where it cannot be
// read.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder);

}  // namespace anneal
