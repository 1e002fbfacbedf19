// Oracle: the contract by hand: nothing that was added is lost, nothing torn is taken, other settings are
// named.
#include "eval/predictions.h"

#include "base/file.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

const Json kSettings = {{"temperature", 0.1}, {"seed", 7}};
constexpr const char* kPartial = "predictions.jsonl.partial";

Prediction row(std::int64_t index) {
  return {index, "in \"" + std::to_string(index) + "\"\n", "läbel", "out\x01\xE2\x80\xA8", "stop", 3, 2};
}

ProcessGroup alone;

struct Said {
  std::string text;
  std::function<void(const std::string&)> say = [this](const std::string& line) { text += line + "\n"; };
};

TEST(Predictions, AreWrittenInTheOrderOfTheirRows) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles files(folder / "eval", kSettings, {false, ""}, alone, said.say);
  for (const auto index : {2, 0, 1}) files.add(row(index));
  const auto rows = files.write(2);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].index, 1);
  EXPECT_EQ(folder.read("eval/predictions.jsonl"),
            to_json(row(0)).dump() + "\n" + to_json(row(1)).dump() + "\n");
  EXPECT_THAT(folder.read("eval/predictions.jsonl"), testing::HasSubstr("läbel"));
  files.remove_partial();
  EXPECT_FALSE(std::filesystem::exists(folder / "eval" / kPartial));
  EXPECT_EQ(said.text, "");
}

TEST(Predictions, GoOnFromWholeRowsOnly) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles(folder.path(), kSettings, {false, ""}, alone, said.say).add(row(4));
  const auto whole = folder.read(kPartial);
  folder.write(kPartial, whole + R"({"input": "to)");
  PredictionFiles files(folder.path(), kSettings, {true, ""}, alone, said.say);
  EXPECT_TRUE(files.has(4));
  EXPECT_FALSE(files.has(0));
  EXPECT_EQ(folder.read(kPartial), whole);
  files.add(row(0));
  const auto rows = files.write(5);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(to_json(rows[1]), to_json(row(4)));
  EXPECT_THAT(said.text, testing::HasSubstr("going on from 1 rows"));
}

TEST(Predictions, OfOtherSettingsAreRefusedAndKept) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles(folder.path(), kSettings, {false, ""}, alone, said.say).add(row(0));
  const auto before = folder.read(kPartial);
  const auto text = expect_user_error(ExitCode::kUsage, "seed is 8, was 7", [&] {
    PredictionFiles(folder.path(), {{"temperature", 0.1}, {"seed", 8}}, {true, ""}, alone, said.say);
  });
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("temperature")));
  EXPECT_EQ(folder.read(kPartial), before);
  folder.write(kPartial, before + "{\"index\": 1}\n");
  expect_user_error(ExitCode::kUsage, "is not a row of predictions", [&] {
    PredictionFiles(folder.path(), kSettings, {true, ""}, alone, said.say);
  });
}

TEST(Predictions, BeginAgainWithoutResumeAndSaySo) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles(folder.path(), kSettings, {false, ""}, alone, said.say).add(row(0));
  PredictionFiles files(folder.path(), kSettings, {false, ""}, alone, said.say);
  EXPECT_FALSE(files.has(0));
  EXPECT_THAT(said.text, testing::HasSubstr("--resume"));
  expect_user_error(ExitCode::kUsage, "another test is working there", [&] {
    PredictionFiles(folder.path(), kSettings, {true, ""}, alone, said.say);
  });
}

TEST(Predictions, OfAnEarlierAttemptOfTheSameLaunchAreGoneOnWith) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles(folder.path(), kSettings, {false, "launch 1"}, alone, said.say).add(row(0));
  EXPECT_TRUE(PredictionFiles(folder.path(), kSettings, {false, "launch 1"}, alone, said.say).has(0));
  EXPECT_FALSE(PredictionFiles(folder.path(), kSettings, {false, "launch 2"}, alone, said.say).has(0));
}

TEST(Predictions, OfRanksThatAreNoMoreAreTakenAndRemoved) {
  const ScratchFolder folder;
  Said said;
  PredictionFiles(folder.path(), kSettings, {false, ""}, alone, said.say).add(row(0));
  const auto header = folder.read(kPartial).substr(0, folder.read(kPartial).find('\n') + 1);
  const std::string of_another = std::string(kPartial) + "-3";
  folder.write(of_another, header + to_json(row(7)).dump() + "\n" + R"({"torn)");
  {
    PredictionFiles files(folder.path(), kSettings, {true, ""}, alone, said.say);
    EXPECT_TRUE(files.has(0));
    EXPECT_TRUE(files.has(7));
    EXPECT_TRUE(std::filesystem::exists(folder / of_another));  // until remove_partial()
    files.remove_partial();
    EXPECT_FALSE(std::filesystem::exists(folder / of_another));
  }
  folder.write(of_another, header + to_json(row(7)).dump() + "\n");
  EXPECT_FALSE(PredictionFiles(folder.path(), kSettings, {false, ""}, alone, said.say).has(7));
  EXPECT_FALSE(std::filesystem::exists(folder / of_another));
}

}  // namespace
}  // namespace anneal
