// Several datasets in one run: which they are, and how often the rows of each stand in the training data.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset_options.h"

namespace anneal {

struct MixedDataset {
  std::string name;
  std::optional<double> weight;  // its share of the training rows is weight / sum; all have one or none has
  bool operator==(const MixedDataset&) const = default;
};

// What --data names; else the one of --hfdc_dataset_name.
std::vector<MixedDataset> datasets_of(const DatasetOptions& options, std::vector<Problem>& problems);

// For messages and for the name of a folder.
std::string name_of(const std::vector<MixedDataset>& datasets);

// `rows` of the training data by `weights`: as near to the exact shares as whole numbers are, the sum kept.
// A dataset without rows gets none.
std::vector<std::int64_t> shares_of(std::span<const std::int64_t> rows, std::span<const double> weights);

// The records of `order` in the shares of `weights`, as many as before. Dataset d has the records from
// ends[d - 1] to ends[d]; its rows are taken in their order, again from the first where they do not suffice.
std::vector<std::int64_t> mixed_order(std::span<const std::int64_t> order, std::span<const std::int64_t> ends,
                                      std::span<const double> weights, std::uint64_t seed);

// The dataset that has `record`.
std::size_t dataset_of(std::int64_t record, std::span<const std::int64_t> ends);

}  // namespace anneal
