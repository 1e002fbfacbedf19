#include "data/preflight.h"

#include <gmock/gmock.h>

namespace anneal {
namespace {

using testing::HasSubstr;

constexpr std::int32_t kBos = 1, kEos = 2;
constexpr bool kEnds = true;

ExampleSet set_of(const std::vector<Example>& examples, ExampleCounts counts = {}) {
  ExampleBuffer buffer;
  buffer.counts = std::move(counts);
  for (const auto& example : examples) buffer.append(example);
  return ExampleSet(std::move(buffer));
}

std::vector<Problem> check(const std::vector<Example>& examples, const ExampleOptions& options = {},
                           ExampleCounts counts = {}) {
  return preflight(set_of(examples, std::move(counts)), options, kBos);
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

// Oracle: by hand; half is accepted.
TEST(Preflight, NamesWhatIsLostToTheLimit) {
  const std::vector<Example> two{{{kBos, 5, kEos}, 2, 0, kEnds}, {{kBos, 5, 6}, 2, 1}};
  EXPECT_TRUE(check(two, {}, {.rows = 4, .dropped = {{"long_prompt", 2}}, .truncated = 1}).empty());
  auto problems = check(two, {}, {.rows = 5, .dropped = {{"long_prompt", 2}, {"overlong", 1}}});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].problem, "60.0 % of the rows are too long, and dropped");
  problems = check(two, {}, {.rows = 2, .truncated = 2});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].problem, HasSubstr("100.0 % of the samples are cut off"));
  EXPECT_TRUE(check(two, {}, {.rows = 9, .dropped = {{"empty", 7}}}).empty()) << "not for their length";
}

TEST(Preflight, FindsAnEndThatNobodyStopsAt) {
  const auto set = set_of({{{kBos, 5, 9}, 1, 0}, {{kBos, 6, 9}, 1, 1}, {{kBos, 6, 7}, 1, 2}});
  EXPECT_EQ(unknown_end(set, std::vector{kEos}), 9);
  EXPECT_EQ(unknown_end(set, std::vector{kEos, 9}), std::nullopt);
  EXPECT_EQ(unknown_end(set_of({{{kBos, 5, 9}, 1, 0}, {{kBos, 5, 8}, 1, 1}}), std::vector{kEos}),
            std::nullopt);
  EXPECT_EQ(unknown_end(ExampleSet(), std::vector{kEos}), std::nullopt);
}

TEST(Preflight, ReportsTheSamples) {
  const auto set =
      set_of({{{kBos, 5, kEos}, 2, 0, kEnds}, {{kBos, 5, 6, 7}, 1, 1}, {{kBos, 5, 6, 7, 8}, 1, 2}},
             {.rows = 9, .dropped = {{"empty", 1}}, .truncated = 2, .skipped = 3, .specials_in_text = 4});
  EXPECT_THAT(preflight_report(set, {.max_seq_length = 5}),
              testing::ElementsAre("dropped: 1 (empty)", "skipped: 3 lines that cannot be read",
                                   "cut at max_seq_length 5: 2 (66.7 %)",
                                   "trained: 8 of 12 tokens (66.7 %); the end in 33.3 % of the samples",
                                   "special tokens in the texts of rows: 4 (--no_special_in_text makes "
                                   "text of them)",
                                   "lengths: median 4, 95 % up to 4, longest 5 tokens",
                                   "  up to      4 tokens:        2 " + std::string(40, '#'),
                                   "  up to      8 tokens:        1 " + std::string(20, '#')));
}

}  // namespace
}  // namespace anneal
