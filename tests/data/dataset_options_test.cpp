#include "data/dataset_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/options.h"

namespace anneal {
namespace {

using testing::HasSubstr;

struct Parsed {
  DatasetOptions options;
  std::vector<Problem> problems;
};

Parsed parse(const std::vector<std::string>& arguments) {
  Parsed parsed;
  std::vector<std::string> warnings;
  const auto given = OptionTable(parsed.options).parse(arguments, parsed.problems, warnings);
  resolve(parsed.options, given);
  parsed.options.validate(parsed.problems);
  return parsed;
}

// Oracle: spec section 1.2.
TEST(DatasetOptions, DefaultsAreValid) {
  const auto parsed = parse({});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.hfdc_dataset_name, "cognitivecomputations/dolphin");
  EXPECT_EQ(parsed.options.hfdc_dataset_config, "flan1m-alpaca-uncensored");
  EXPECT_EQ(parsed.options.hfdc_output_template, "### Response:\n{output}");
  EXPECT_FALSE(parsed.options.describes_dataset);
  EXPECT_FALSE(parse({"--hfdc_num_proc=2"}).options.describes_dataset);
}

// Oracle: spec section 1.2, D11.
TEST(DatasetOptions, OneFlagAloneKeepsTheOthers) {
  const auto ratio = parse({"--hfdc_train_split_ratio=0.8"}).options;
  EXPECT_EQ(ratio.hfdc_dataset_config, kDefaultDatasetConfig);
  EXPECT_EQ(ratio.hfdc_field_mapping, kDefaultFieldMapping);
  EXPECT_TRUE(ratio.describes_dataset);
  const auto same = parse({"--hfdc_dataset_name", kDefaultDataset}).options;
  EXPECT_EQ(same.hfdc_dataset_config, kDefaultDatasetConfig);
}

TEST(DatasetOptions, AnotherDatasetResetsWhatIsNotGiven) {
  const auto reset = parse({"--hfdc_dataset_name=x.jsonl"}).options;
  EXPECT_EQ(reset.hfdc_dataset_config, "");
  EXPECT_EQ(reset.hfdc_field_mapping, "{}");
  const auto kept = parse(
      {"--hfdc_dataset_name=x.jsonl", "--hfdc_dataset_config=c", "--hfdc_field_mapping={\"output\":\"o\"}"});
  EXPECT_EQ(kept.options.hfdc_dataset_config, "c");
  EXPECT_EQ(kept.options.hfdc_field_mapping, "{\"output\":\"o\"}");
}

// Oracle: by hand; each mistake is one problem, all are reported together.
TEST(DatasetOptions, ReportsAllMistakesAtOnce) {
  const auto parsed =
      parse({"--hfdc_split=train[:10%]", "--hfdc_input_template={", "--hfdc_output_template=none",
             "--hfdc_field_mapping={\"a\":1}", "--hfdc_train_split_ratio=1.5",
             "--hfdc_val_test_split_ratio=nan", "--template_escapes=x", "--hfdc_dataset_name=.."});
  EXPECT_EQ(parsed.problems.size(), 8u);
}

TEST(DatasetOptions, MappingProblemsAreNamed) {
  const auto text_of = [](const std::string& mapping) {
    const auto problems = parse({"--hfdc_field_mapping=" + mapping}).problems;
    return problems.size() == 1 ? problems[0].where + ": " + problems[0].problem
                                : std::string("not one problem");
  };
  EXPECT_THAT(text_of("{"), HasSubstr("--hfdc_field_mapping: not valid JSON at byte 1"));
  EXPECT_THAT(text_of("[]"), HasSubstr("not a JSON object of texts"));
  EXPECT_THAT(text_of(R"({"a":"b","a":"c"})"), HasSubstr("stands twice"));
}

TEST(DatasetOptions, RatiosFromAConfigFileAreChecked) {
  DatasetOptions options;
  options.hfdc_train_split_ratio = 0;
  options.hfdc_val_test_split_ratio = std::nan("");
  std::vector<Problem> problems;
  options.validate(problems);
  EXPECT_EQ(problems.size(), 2u);
}

// Oracle: spec section 2.3.
TEST(DatasetOptions, UnusedMappingKeysWarn) {
  DatasetOptions options;
  options.hfdc_field_mapping = R"({"output": "answer", "stray": "s"})";
  std::vector<Problem> problems;
  const auto format = row_format(options, problems);
  EXPECT_EQ(format.columns.at("output"), "answer");
  EXPECT_EQ(format.columns.at("instruction"), "instruction");
  ASSERT_EQ(format.warnings.size(), 1u);
  EXPECT_THAT(format.warnings[0], HasSubstr("\"stray\""));
}

}  // namespace
}  // namespace anneal
