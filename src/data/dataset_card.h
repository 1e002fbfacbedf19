// What the front matter of a dataset's README.md says about its files.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

struct SplitPatterns {
  std::string split;
  std::vector<std::string> patterns;
};

// A subset of the dataset. Without data_files the names of the files below data_dir decide.
struct DatasetConfig {
  std::string name;
  std::string data_dir;
  std::optional<std::vector<SplitPatterns>> data_files;
  std::optional<char> delimiter;  // of .csv files
  bool is_default = false;
  std::string unusual;  // a setting that only the `datasets` library knows; empty: there is none
};

// In the order of the card; none where it has no `configs`. `where` names the file in messages. Throws
// UserError(kData).
std::vector<DatasetConfig> read_dataset_card(const std::string& text, const std::string& where);

// The config of that name; of an empty name, the default one. Where the card has none, only "default" and the
// empty name stand for the whole folder. Throws UserError(kData) that lists the names.
DatasetConfig choose_config(const std::vector<DatasetConfig>& configs, const std::string& name,
                            const std::string& dataset);

}  // namespace anneal
