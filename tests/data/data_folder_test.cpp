#include "data/data_folder.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace anneal {
namespace {

std::string name(std::string_view text) { return sanitized_component(text, '_', "--flag"); }

// Oracle: spec section 2.5 and decision 18, by hand.
TEST(DataFolder, NamesBecomeOneComponent) {
  EXPECT_EQ(name("tatsu-lab/alpaca"), "tatsu-lab_alpaca");
  EXPECT_EQ(name("../a/train.jsonl"), "a_train.jsonl");
  EXPECT_EQ(name("/abs/x.csv"), "abs_x.csv");
  EXPECT_EQ(name("./data/"), "data");
  EXPECT_EQ(name("a/../../b"), "a_.._.._b");
  EXPECT_EQ(name("a:b*c?\"<>|\n"), "a_b_c______");
  EXPECT_EQ(name("with space % = \xC3\xA9"), "with space % = \xC3\xA9");
  EXPECT_EQ(sanitized_component("Qwen/Qwen3-8B", '-', "--flag"), "Qwen-Qwen3-8B");
}

TEST(DataFolder, NothingLeftIsAnError) {
  for (const char* text : {"", ".", "..", "/", "../.."}) EXPECT_THROW(name(text), UserError) << text;
}

// Oracle: the hash by Python's hashlib.
TEST(DataFolder, LongNamesAreCutAndHashed) {
  EXPECT_EQ(name(std::string(200, 'a')), std::string(200, 'a'));
  EXPECT_EQ(name(std::string(300, 'a')), std::string(180, 'a') + "-9835fa6bf4e20a9b");
}

// Oracle: decision 18, by hand.
TEST(DataFolder, PercentagesHaveUpToThreeDecimals) {
  EXPECT_EQ(split_folder_name(0.9, 0.5), "train=90%-val=5%-test=5%");
  EXPECT_EQ(split_folder_name(0.95, 0.5), "train=95%-val=2.5%-test=2.5%");
  EXPECT_EQ(split_folder_name(0.29, 0.5), "train=29%-val=35.5%-test=35.5%");
  EXPECT_EQ(split_folder_name(0.995, 0.5), "train=99.5%-val=0.25%-test=0.25%");
  EXPECT_EQ(split_folder_name(1, 0.5), "train=100%-val=0%-test=0%");
  EXPECT_EQ(split_folder_name(0.8, 0), "train=80%-val=20%-test=0%");
  // Oracle: spec section 2.5's examples, Python's int() of the same products.
  EXPECT_EQ(whole_percent_folder_name(0.29, 0.5), "train=28%-val=36%-test=36%");
  EXPECT_EQ(whole_percent_folder_name(0.57, 0.5), "train=56%-val=22%-test=22%");
  EXPECT_EQ(whole_percent_folder_name(0.999, 0.5), "train=99%-val=0%-test=1%");
  EXPECT_EQ(whole_percent_folder_name(0.95, 0.5), "train=95%-val=2%-test=3%");
  EXPECT_EQ(default_data_folder("a/b", "", 0.9, 0.5).string(),
            "datasets/a_b/default/train=90%-val=5%-test=5%");
}

}  // namespace
}  // namespace anneal
