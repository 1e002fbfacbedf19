// Oracle: figures by hand.
#include "data/sample_statistics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace anneal {
namespace {

Example example(std::size_t tokens, std::int32_t prompt) {
  return {std::vector<std::int32_t>(tokens, 7), prompt, 0};
}

TEST(SampleStatistics, FiguresByHand) {
  ExampleBuffer examples;
  examples.append(example(3, 1));   // 2 trained
  examples.append(example(40, 0));  // 39: nothing predicts the first token
  examples.append(example(31, 30));
  const auto statistics = sample_statistics(ExampleSet(std::move(examples)));
  EXPECT_EQ(statistics["samples"], 3);
  EXPECT_EQ(statistics["tokens"], 74);
  EXPECT_EQ(statistics["trained_tokens"], 42);
  EXPECT_EQ(statistics["longest"], 40);
  EXPECT_EQ(statistics["p50"], 31);
  EXPECT_EQ(statistics["p90"], 40);
  const auto& lengths = statistics["lengths"];
  EXPECT_EQ(lengths["bin_tokens"], 2);  // 1 would be 41 bins
  ASSERT_EQ(lengths["samples"].size(), 21);
  EXPECT_EQ(lengths["samples"][1], 1);
  EXPECT_EQ(lengths["samples"][15], 1);
  EXPECT_EQ(lengths["samples"][20], 1);
  EXPECT_EQ(lengths["trained"][1], 1);
  EXPECT_EQ(lengths["trained"][19], 1);
  EXPECT_EQ(lengths["trained"][0], 1);
}

TEST(SampleStatistics, EverySampleIsInABin) {
  for (const std::size_t longest : {1, 31, 32, 63, 64, 2048, 131072}) {
    ExampleBuffer examples;
    examples.append(example(longest, 0));
    examples.append(example(1, 0));
    const auto statistics = sample_statistics(ExampleSet(std::move(examples)));
    const auto bins = statistics["lengths"]["samples"].get<std::vector<std::int64_t>>();
    EXPECT_LE(bins.size(), 32u) << longest;
    EXPECT_EQ(std::accumulate(bins.begin(), bins.end(), std::int64_t{0}), 2) << longest;
    EXPECT_GE(bins.back(), 1) << longest;
  }
}

TEST(SampleStatistics, AnEmptySetHasCountsAlone) {
  const auto statistics = sample_statistics({});
  EXPECT_EQ(statistics["samples"], 0);
  EXPECT_FALSE(statistics.contains("lengths"));
}

}  // namespace
}  // namespace anneal
