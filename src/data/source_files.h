// Which local files a dataset name stands for.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace anneal {

struct SourceFiles {
  std::vector<std::filesystem::path> files;  // in reading order
  std::vector<std::string> notices;
};

// A file is itself, and its only split is "train". In a folder the files are taken by name; where names tell
// splits apart (train.jsonl, test-00000.csv), only those of `split`. Throws UserError for what this version
// cannot read.
SourceFiles find_source_files(const std::string& dataset, const std::string& config, const std::string& split,
                              bool offline);

}  // namespace anneal
