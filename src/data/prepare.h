// From a dataset to the three files that training, validation and test read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/dataset_options.h"
#include "data/manifest.h"

namespace anneal {

struct PreparedData {
  std::filesystem::path folder;
  std::filesystem::path training, validation,
      test;  // foreign validation and test files may be missing: 0 rows
  std::int64_t training_rows = 0, validation_rows = 0, test_rows = 0;
  std::map<std::string, std::int64_t> dropped;  // reason -> rows
  std::int64_t null_fields = 0;                 // null or missing values that became empty texts
  std::int64_t skipped_rows = 0;                // could not be read
  std::vector<DatasetRows> datasets;            // of --data
  std::string source;                           // for the console
  std::string data_sha256;                      // of the content of the three files
  bool reused = false;
  bool foreign = false;  // placed by the user, not made by this program
};

using Log = std::function<void(const std::string&)>;

// Reuses the folder where it was made from the same source in the same way, builds it otherwise; a folder
// that holds something else is left alone, and "<folder>+<8 hex digits>" is taken. Several processes may call
// it at once. Options have passed validate(). Throws UserError.
PreparedData prepare_data(const DatasetOptions& options, std::uint64_t seed, const Log& log);

}  // namespace anneal
