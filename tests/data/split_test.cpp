#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace anneal {
namespace {

// Oracle: the table of spec section 2.2.
TEST(Split, CountsAreExact) {
  EXPECT_EQ(split_counts(100, 0.9, 0.5), (SplitCounts{90, 5, 5}));
  EXPECT_EQ(split_counts(100, 0.95, 0.5), (SplitCounts{95, 2, 3}));
  EXPECT_EQ(split_counts(1000, 0.8, 0.5), (SplitCounts{800, 100, 100}));
  EXPECT_EQ(split_counts(101, 0.9, 0.5), (SplitCounts{90, 5, 6}));
  EXPECT_EQ(split_counts(11, 0.9, 0.5), (SplitCounts{9, 1, 1}));
  EXPECT_EQ(split_counts(10, 0.9, 0.5), (SplitCounts{9, 1, 0}));
  EXPECT_EQ(split_counts(2, 0.9, 0.5), (SplitCounts{1, 1, 0}));
  EXPECT_EQ(split_counts(1, 0.9, 0.5), (SplitCounts{1, 0, 0}));
  EXPECT_EQ(split_counts(15011, 0.95, 0.5), (SplitCounts{14260, 375, 376}));
  EXPECT_EQ(split_counts(891857, 0.9, 0.5), (SplitCounts{802671, 44593, 44593}));
}

// Oracle: spec section 2.2, by hand.
TEST(Split, LimitsOfTheRatios) {
  EXPECT_EQ(split_counts(10, 1, 0.5), (SplitCounts{10, 0, 0}));
  EXPECT_EQ(split_counts(10, 0.5, 0), (SplitCounts{5, 5, 0}));
  EXPECT_EQ(split_counts(10, 0.5, 1), (SplitCounts{5, 0, 5}));
  EXPECT_EQ(split_counts(3, 0.001, 0.5), (SplitCounts{1, 1, 1}));
  EXPECT_EQ(split_counts(3, 0.999, 0.5), (SplitCounts{2, 1, 0}));
  EXPECT_EQ(split_counts(1, 0.1, 1), (SplitCounts{1, 0, 0}));
}

// Oracle: whatever the ratios, the parts add up and training is never empty.
TEST(Split, PartsAddUp) {
  for (std::int64_t rows = 1; rows < 60; ++rows)
    for (double ratio = 0.05; ratio <= 1; ratio += 0.05)
      for (double share = 0; share <= 1; share += 0.25) {
        const auto counts = split_counts(rows, ratio, share);
        EXPECT_EQ(counts.training + counts.validation + counts.test, rows);
        EXPECT_GE(counts.training, 1);
        EXPECT_GE(std::min(counts.validation, counts.test), 0);
      }
}

// Oracle: all indices sorted at once by their keys.
TEST(Split, OrderByBucketsIsTheSortedOne) {
  for (const std::int64_t count : {0, 1, 2, 63, 64, 65, 127, 128, 1000, 70'000})
    for (const std::uint64_t base : {std::uint64_t{0}, std::uint64_t{16257}}) {
      std::vector<std::int64_t> expected(count);
      std::iota(expected.begin(), expected.end(), 0);
      std::stable_sort(expected.begin(), expected.end(), [&](std::int64_t left, std::int64_t right) {
        return order_key(left, base) < order_key(right, base);
      });
      EXPECT_EQ(hashed_order(count, base), expected) << count;
    }
}

// Oracle: the formula of spec section 2.2 in a separate Python script, with unbounded integers reduced mod
// 2^64.
TEST(Split, OrderIsTheSameOnEveryMachine) {
  EXPECT_EQ(split_order(12, 16257), (std::vector<std::int64_t>{6, 5, 7, 4, 9, 10, 0, 8, 11, 3, 1, 2}));
  EXPECT_EQ(split_order(12, 0), (std::vector<std::int64_t>{2, 4, 6, 8, 5, 10, 1, 11, 7, 0, 9, 3}));
  EXPECT_EQ(split_order(12, ~std::uint64_t{0}),
            (std::vector<std::int64_t>{9, 10, 2, 7, 3, 4, 8, 11, 5, 0, 1, 6}));
  const auto large = split_order(100000, 16257);
  EXPECT_EQ((std::vector<std::int64_t>{large.begin(), large.begin() + 5}),
            (std::vector<std::int64_t>{35355, 51227, 14922, 85333, 31914}));
  EXPECT_EQ((std::vector<std::int64_t>{large.end() - 3, large.end()}),
            (std::vector<std::int64_t>{71651, 85590, 68659}));
}

// Oracle: a permutation sorted is 0 .. n-1.
TEST(Split, OrderIsAPermutation) {
  auto order = split_order(1000, 7);
  std::sort(order.begin(), order.end());
  std::vector<std::int64_t> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

}  // namespace
}  // namespace anneal
