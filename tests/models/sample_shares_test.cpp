#include "models/sample_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace anneal {
namespace {

using Shares = std::vector<std::vector<std::size_t>>;

// Oracle: the rule, by hand: 9 | 7 | then 6 to the second (7 < 9), 5 to the first, 4 to the second, 1 to the
// first.
TEST(SampleShares, TheDearestGoFirstToWhoHasTheLeast) {
  EXPECT_EQ(share_samples({5, 9, 1, 7, 4, 6}, 2), (Shares{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(share_samples({5, 9, 1, 7, 4, 6}, 1), (Shares{{0, 1, 2, 3, 4, 5}}));
  EXPECT_EQ(share_samples({2, 2}, 4), (Shares{{0}, {1}, {}, {}}));
  EXPECT_EQ(share_samples({}, 2), (Shares{{}, {}}));
}

// Oracle: Graham's bound: the largest load is below 4/3 of what no division can beat.
TEST(SampleShares, LoadsAreBalanced) {
  std::vector<double> costs;
  for (int sample = 0; sample < 64; ++sample) costs.push_back(20 + sample * 37 % 101);
  for (const int ranks : {2, 3, 8}) {
    std::set<std::size_t> seen;
    double largest = 0;
    for (const auto& share : share_samples(costs, ranks)) {
      double load = 0;
      for (const auto sample : share) {
        load += costs[sample];
        EXPECT_TRUE(seen.insert(sample).second);
      }
      largest = std::max(largest, load);
    }
    EXPECT_EQ(seen.size(), costs.size());
    EXPECT_LE(largest, 4.0 / 3 * std::accumulate(costs.begin(), costs.end(), 0.0) / ranks);
  }
}

}  // namespace
}  // namespace anneal
