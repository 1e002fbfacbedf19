#include "data/dataset_mix.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "data/split.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using Counts = std::vector<std::int64_t>;

std::string problems_of(std::vector<std::string> data) {
  DatasetOptions options;
  options.data = std::move(data);
  std::vector<Problem> problems;
  datasets_of(options, problems);
  std::string text;
  for (const auto& problem : problems) text += problem.problem + "\n";
  return text;
}

// Oracle: by hand.
TEST(DatasetMix, ReadsNamesAndWeights) {
  DatasetOptions options;
  std::vector<Problem> problems;
  EXPECT_THAT(datasets_of(options, problems), ElementsAre(MixedDataset{kDefaultDataset, {}}));
  options.data = {"a/b:0.5", "http:x:2"};
  EXPECT_THAT(datasets_of(options, problems),
              ElementsAre(MixedDataset{"a/b", 0.5}, MixedDataset{"http:x", 2.0}));
  options.data = {"a", "b"};
  EXPECT_THAT(datasets_of(options, problems), ElementsAre(MixedDataset{"a", {}}, MixedDataset{"b", {}}));
  EXPECT_TRUE(problems.empty());
}

// Oracle: by hand.
TEST(DatasetMix, RefusesNonsenseByName) {
  for (const char* weight : {"0", "-1", "nan", "inf", "two", "", "1x", "1e999", " 1", "0x1"})
    EXPECT_EQ(problems_of({std::string("rows:") + weight, "more:1"}),
              std::string("\"") + weight + "\" is not a weight of rows\n");
  EXPECT_THAT(problems_of({"a:1", "a:2"}), HasSubstr("a is named twice"));
  EXPECT_THAT(problems_of({"a:1", "b"}), HasSubstr("b has no weight"));
  EXPECT_THAT(problems_of({"a", "b:1"}), HasSubstr("a has no weight"));
  EXPECT_THAT(problems_of({":1", "b:1"}), HasSubstr("a dataset has no name"));
}

// Oracle: by hand. 10 rows at 1 : 2 are 3.33 and 6.67; at 1 : 1 : 1 they are 3.33 each, and the first gets
// what is left.
TEST(DatasetMix, SharesKeepTheSum) {
  EXPECT_EQ(shares_of(Counts{8, 2}, std::vector<double>{1, 2}), (Counts{3, 7}));
  EXPECT_EQ(shares_of(Counts{4, 4, 2}, std::vector<double>{1, 1, 1}), (Counts{4, 3, 3}));
  EXPECT_EQ(shares_of(Counts{6, 0, 4}, std::vector<double>{1, 5, 1}), (Counts{5, 0, 5}));
  EXPECT_EQ(shares_of(Counts{1, 9}, std::vector<double>{1e300, 1}), (Counts{10, 0}));
  EXPECT_EQ(shares_of(Counts{0, 0}, std::vector<double>{1, 1}), (Counts{0, 0}));
}

// Oracle: by hand. Dataset 0 has records 0 to 5, dataset 1 has 6 and 7; at 1 : 3 eight rows are two and six.
TEST(DatasetMix, RepeatsInOrderAndLeavesOut) {
  const Counts order = {7, 3, 5, 0, 6, 1, 2, 4}, ends = {6, 8};
  const auto mixed = mixed_order(order, ends, std::vector<double>{1, 3}, 5);
  EXPECT_THAT(mixed, UnorderedElementsAre(3, 5, 7, 7, 7, 6, 6, 6));
  EXPECT_EQ(mixed, mixed_order(order, ends, std::vector<double>{2, 6}, 5));
  EXPECT_NE(mixed, mixed_order(order, ends, std::vector<double>{1, 3}, 6));
}

}  // namespace
}  // namespace anneal
