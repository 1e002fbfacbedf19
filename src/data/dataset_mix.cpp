#include "data/dataset_mix.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include "data/split.h"

namespace anneal {
namespace {

constexpr const char* kFlag = "--data";
constexpr std::uint64_t kMixStride = 0xA0761D6478BD642FULL;  // apart from the order of the split

// NAME, or NAME:WEIGHT. What exists under the whole name is no weight.
MixedDataset parse(const std::string& text, std::vector<Problem>& problems) {
  const auto colon = text.rfind(':');
  std::error_code error;
  if (colon == text.npos || std::filesystem::exists(text, error)) return {text, {}};
  MixedDataset dataset{text.substr(0, colon), {}};
  double weight = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, weight);
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(weight) || weight <= 0)
    problems.push_back({"\"" + text.substr(colon + 1) + "\" is not a weight of " + dataset.name, kFlag,
                        "write NAME:WEIGHT with a number above 0, such as 0.3, or leave the dataset out"});
  else
    dataset.weight = weight;
  return dataset;
}

void check(const std::vector<MixedDataset>& datasets, std::vector<Problem>& problems) {
  std::set<std::string> names;
  for (const auto& dataset : datasets) {
    if (dataset.name.empty())
      problems.push_back({"a dataset has no name", kFlag, "write NAME or NAME:WEIGHT"});
    if (!names.insert(dataset.name).second)
      problems.push_back({dataset.name + " is named twice", kFlag, "name it once, with a greater weight"});
    if (dataset.weight.has_value() != datasets.front().weight.has_value())
      problems.push_back(
          {(dataset.weight ? datasets.front() : dataset).name + " has no weight, but another has", kFlag,
           "give each dataset a weight, or none"});
  }
}

}  // namespace

std::vector<MixedDataset> datasets_of(const DatasetOptions& options, std::vector<Problem>& problems) {
  if (options.data.empty()) return {{options.hfdc_dataset_name, {}}};
  std::vector<MixedDataset> datasets;
  const auto before = problems.size();
  for (const auto& text : options.data) datasets.push_back(parse(text, problems));
  if (problems.size() == before) check(datasets, problems);
  return datasets;
}

std::string name_of(const std::vector<MixedDataset>& datasets) {
  std::string name;
  for (const auto& dataset : datasets) name += (name.empty() ? "" : "+") + dataset.name;
  return name;
}

std::vector<std::int64_t> shares_of(std::span<const std::int64_t> rows, std::span<const double> weights) {
  double sum = 0;
  for (std::size_t index = 0; index < rows.size(); ++index)
    if (rows[index] > 0) sum += weights[index];
  const auto all = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  std::vector<std::int64_t> shares(rows.size(), 0);
  std::vector<std::pair<double, std::size_t>> rests;  // the greatest first, then the first dataset
  auto left = all;
  for (std::size_t index = 0; index < rows.size(); ++index) {
    if (rows[index] == 0) continue;
    const double exact = static_cast<double>(all) * weights[index] / sum;
    shares[index] = std::min(static_cast<std::int64_t>(exact), left);
    left -= shares[index];
    rests.emplace_back(static_cast<double>(shares[index]) - exact, index);
  }
  std::sort(rests.begin(), rests.end());
  for (std::size_t at = 0; left > 0; at = (at + 1) % rests.size(), --left) ++shares[rests[at].second];
  return shares;
}

std::size_t dataset_of(std::int64_t record, std::span<const std::int64_t> ends) {
  return std::upper_bound(ends.begin(), ends.end(), record) - ends.begin();
}

std::vector<std::int64_t> mixed_order(std::span<const std::int64_t> order, std::span<const std::int64_t> ends,
                                      std::span<const double> weights, std::uint64_t seed) {
  std::vector<std::vector<std::int64_t>> records(ends.size());
  for (const auto record : order) records[dataset_of(record, ends)].push_back(record);
  std::vector<std::int64_t> rows;
  for (const auto& own : records) rows.push_back(static_cast<std::int64_t>(own.size()));
  std::vector<std::int64_t> taken;
  const auto shares = shares_of(rows, weights);
  for (std::size_t index = 0; index < shares.size(); ++index)
    for (std::int64_t place = 0; place < shares[index]; ++place)
      taken.push_back(records[index][place % rows[index]]);
  std::vector<std::int64_t> mixed;
  for (const auto place : hashed_order(static_cast<std::int64_t>(taken.size()), seed + kMixStride))
    mixed.push_back(taken[place]);
  return mixed;
}

}  // namespace anneal
