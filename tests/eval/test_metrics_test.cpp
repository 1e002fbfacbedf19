// Oracle: counts and means by hand.
#include "eval/test_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anneal {
namespace {

Prediction row(const std::string& label, const std::string& prediction, const std::string& reason = "stop") {
  return {0, "", label, prediction, reason, 1, 1};
}

const std::vector<Prediction> kRows = {row("# A:\nyes", "# A:\nyes"), row("# A:\nno", "no"),
                                       row("# A:\nred cat", "# A:\nred dog", "length"),
                                       row("# A:\nblue", "", "prompt_too_long")};

TEST(TestMetrics, CountsAndMeans) {
  const auto metrics = measure_predictions(kRows, "", nullptr);
  EXPECT_EQ(metrics["n"], 4);
  EXPECT_EQ(metrics["n_empty_prediction"], 1);
  EXPECT_EQ(metrics["n_truncated"], 1);
  EXPECT_EQ(metrics["n_prompt_too_long"], 1);
  EXPECT_DOUBLE_EQ(metrics["exact_match"], 1.0 / 4);
  EXPECT_FALSE(metrics.contains("exact_match_stripped"));
  EXPECT_FALSE(metrics.contains("bertscore"));
}

TEST(TestMetrics, WhiteSpaceAroundATextIsNoDifference) {
  const auto metrics = measure_predictions({row("yes", " yes\n"), row("no", "n o")}, "", nullptr);
  EXPECT_DOUBLE_EQ(metrics["exact_match"], 1.0 / 2);
}

TEST(TestMetrics, TheHeaderIsTakenOffBothSides) {
  const auto metrics = measure_predictions(kRows, "# A:\n", nullptr);
  EXPECT_DOUBLE_EQ(metrics["exact_match"], 1.0 / 4);
  EXPECT_DOUBLE_EQ(metrics["exact_match_stripped"], 2.0 / 4);  // "no" came without its header
  EXPECT_DOUBLE_EQ(metrics["rougeL_stripped"], (1 + 1 + 0.5 + 0) / 4);
  EXPECT_DOUBLE_EQ(metrics["rougeL"], (1 + 2.0 / 3 + 2.0 / 3 + 0) / 4);
}

TEST(TestMetrics, BertScoreSeesBothForms) {
  std::vector<std::string> seen;
  const auto metrics = measure_predictions(kRows, "# A:\n", [&](const TextPairs& pairs) {
    seen.push_back(pairs.predictions[0] + "|" + pairs.labels[1]);
    return OrderedJson{{"precision", 0.25}, {"recall", 0.5}, {"f1", 0.75}};
  });
  EXPECT_THAT(seen, testing::ElementsAre("# A:\nyes|# A:\nno", "yes|no"));
  EXPECT_EQ(metrics["bertscore_stripped"]["f1"], 0.75);
  const auto table = metrics_table(metrics);
  for (const char* part :
       {"exact match", "0.2500", "0.5000", "ROUGE-L", "token F1", "BERTScore f1", "0.7500"})
    EXPECT_THAT(table, testing::HasSubstr(part));
}

TEST(TestMetrics, AnEncoderThatIsMissingLeavesTheTableWhole) {
  const auto metrics = measure_predictions(kRows, "", [](const TextPairs&) {
    return OrderedJson{{"status", "unavailable"}, {"reason", "none"}};
  });
  EXPECT_THAT(metrics_table(metrics), testing::HasSubstr("exact match"));
}

}  // namespace
}  // namespace anneal
