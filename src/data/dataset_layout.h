// Which files of a dataset's folder belong to a split: by its README.md, else by their names, as the
// `datasets` library finds them.
#pragma once
#include <string>
#include <vector>

#include "data/dataset_card.h"
#include "data/row_file.h"

namespace anneal {

struct DatasetLayout {
  std::vector<RowFile> files;         // paths inside the folder, in reading order
  std::string by_library;             // why only the `datasets` library can read it; empty: we can
  std::vector<std::string> left_out;  // data files that belong to another split or kind
};

// `names`: all files of the folder, relative, with "/"; `dataset` is its name in messages. Throws
// UserError(kData) where there is no such split, or nothing to read.
DatasetLayout resolve_layout(const std::vector<std::string>& names, const DatasetConfig& config,
                             const std::string& split, const std::string& dataset);

}  // namespace anneal
