// Oracle: by hand, which run, file and header are meant.
#include "engine/test_data.h"

#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

const Say kSilent = [](const std::string&) {};

TEST(TestData, TheHeaderWithoutATemplateEndsALine) {
  const ScratchFolder folder;
  const auto file = folder / "test.jsonl";
  EXPECT_EQ(constant_header(file, {{"", "### A:\nThe cat"}, {"", "### A:\nThe dog"}}), "### A:\n");
  EXPECT_EQ(constant_header(file, {{"", "The cat"}, {"", "The dog"}}), "");
  EXPECT_EQ(constant_header(file, {{"", "### A:\nThe cat"}}), "");  // one label shows nothing
  EXPECT_EQ(constant_header(file, {{"", "a\nb"}, {"", ""}}), "");
}

TEST(TestData, TheRunIsTheFolderWithARunConfig) {
  const ScratchFolder folder;
  folder.write("run/run_config.json", R"({"options": {"special_in_text": false}})");
  const auto run = find_run(folder / "run/TorchTrainer_a/checkpoint_2/checkpoint", {});
  EXPECT_EQ(run.folder, folder / "run");
  EXPECT_EQ(run.checkpoint_name, "TorchTrainer_a-checkpoint_2-checkpoint");
  EXPECT_FALSE(run.option("special_in_text", true));
  EXPECT_EQ(run.option<std::int64_t>("nothing", 5), 5);
  const auto alone = find_run(folder / "alone/adapter", {});
  EXPECT_EQ(alone.folder, folder / "alone");
  EXPECT_EQ(alone.checkpoint_name, "adapter");
  EXPECT_TRUE(alone.option("special_in_text", true));
}

TEST(TestData, TheRunsOwnFileOrAnError) {
  const ScratchFolder folder;
  TrainedRun run{.folder = folder.path()};
  run.config = {{"data", {{"folder", (folder / "data").string()}}}};
  expect_user_error(ExitCode::kData, "test.jsonl", [&] { find_test_file(std::nullopt, run, kSilent); });
  folder.write("data/test.jsonl", "{}\n");
  EXPECT_EQ(find_test_file(std::nullopt, run, kSilent), folder / "data/test.jsonl");
  EXPECT_EQ(find_test_file((folder / "data").string(), run, kSilent), folder / "data/test.jsonl");
  expect_user_error(ExitCode::kData, "no samples",
                    [&] { read_test_rows(folder.write("empty.jsonl", ""), 5); });
}

}  // namespace
}  // namespace anneal
