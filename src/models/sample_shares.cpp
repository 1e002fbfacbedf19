#include "models/sample_shares.h"

#include <algorithm>
#include <numeric>

namespace anneal {

std::vector<std::vector<std::size_t>> share_samples(const std::vector<double>& costs, int ranks) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<std::vector<std::size_t>> shares(ranks);
  std::vector<double> load(ranks, 0);
  for (const auto sample : order) {
    const auto least = std::min_element(load.begin(), load.end()) - load.begin();
    shares[least].push_back(sample);
    load[least] += costs[sample];
  }
  for (auto& share : shares) std::sort(share.begin(), share.end());
  return shares;
}

}  // namespace anneal
