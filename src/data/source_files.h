// Which files a dataset name stands for: a file, a folder, a pattern, or a repository of the Hub.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/row_file.h"

namespace anneal {

struct DatasetPlace {
  std::string name, config, split;
  std::string revision = "main";  // of a repository
  bool is_offline = false;
};

// A folder whose rows the `datasets` library makes, for data that we have no reader for.
struct LibraryLoad {
  std::filesystem::path folder;
  std::string config, split;
};

struct SourceFiles {
  std::vector<RowFile> files;  // in reading order; with by_library, what the library may read
  std::optional<LibraryLoad> by_library;
  std::vector<std::string> notices;
};

// Throws UserError(kUsage) where the name can stand for nothing: a path that is not there, and no id.
void check_dataset_name(const std::string& name);

// A file, or the files of a pattern such as data/*.jsonl, have the one split "train". In a folder README.md
// or the names tell splits apart (docs/datasets.md). A repository is taken from the Hub's cache where the
// files of the split are there, else downloaded. Throws UserError.
SourceFiles find_source_files(const DatasetPlace& place, const std::function<void(const std::string&)>& log);

}  // namespace anneal
