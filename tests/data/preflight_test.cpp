#include "data/preflight.h"

#include <gmock/gmock.h>

namespace anneal {
namespace {

using testing::HasSubstr;

constexpr std::int32_t kBos = 1, kEos = 2;
constexpr bool kEnds = true;

std::vector<Problem> check(const std::vector<Example>& examples, const ExampleOptions& options = {}) {
  ExampleBuffer buffer;
  for (const auto& example : examples) buffer.append(example);
  return preflight(ExampleSet(std::move(buffer)), options, kBos);
}

// Oracle: by hand.
TEST(Preflight, AcceptsWhatIsSound) {
  EXPECT_TRUE(check({{{kBos, 5, 6, kEos}, 2, 0, kEnds}, {{kBos, 5, 6, 7}, 2, 1}}).empty());
  EXPECT_TRUE(check({{{kBos, 5, 6, 7}, 2, 0}}, {.add_eos = false}).empty());
}

TEST(Preflight, NamesWhatWouldSpoilATraining) {
  auto problems = check({{{kBos, 5, kEos}, 2, 0, kEnds}, {{kBos, kBos, 5, kEos}, 3, 7, kEnds}});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].problem, HasSubstr("1 examples begin with two beginning-of-sequence"));
  EXPECT_EQ(problems[0].where, "row 7");
  problems = check({{{kBos, 5, 6, 7}, 2, 0}});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].problem, HasSubstr("the end of sequence is never trained"));
  EXPECT_THAT(check({{{kBos, 5, kEos}, 3, 0, kEnds}})[0].problem, HasSubstr("no token is trained"));
}

}  // namespace
}  // namespace anneal
