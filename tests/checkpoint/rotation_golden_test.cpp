// Oracle: tests/golden/trainer_decisions/decisions.json: which checkpoints transformers' Trainer keeps with
// save_strategy "best". There a checkpoint is the best when it is saved, so that its two rules, the newest
// stays and the best stays, protect the same one, as here. With save_strategy "steps" they do not: while it
// trains, it keeps a best and a newest even at a limit of 1. What is the newest alone lies in resume/ here.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/run_directory.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

ProcessGroup alone;

using Steps = std::set<std::int64_t>;

// Each save waits for the disk. The table's five shapes of losses come in turn, so that every sixth case has
// all.
constexpr std::size_t kEvery = 6;

Steps checkpoints_in(const std::filesystem::path& folder) {
  Steps steps;
  const std::string prefix = "checkpoint-";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (const auto name = entry.path().filename().string(); name.starts_with(prefix))
      steps.insert(std::stoll(name.substr(prefix.size())));
  return steps;
}

TEST(RotationGolden, KeepsWhatTheTrainerOfTransformersKeeps) {
  const auto cases =
      read_json_file(ANNEAL_SOURCE_DIR "/tests/golden/trainer_decisions/decisions.json", ExitCode::kInternal);
  ASSERT_GE(cases.size(), 200U);
  const ScratchFolder folder;
  std::set<std::int64_t> limits;
  std::size_t deleted = 0;
  for (std::size_t number = 0; number < cases.size(); number += kEvery) {
    const auto& golden = cases[number];
    SCOPED_TRACE(golden.dump());
    RunDirectory run(folder.path(), "run-" + std::to_string(number), /*new_run=*/false, alone);
    run.set_run_id("a run");
    limits.insert(golden.at("limit").get<std::int64_t>());
    std::size_t saved = 0;
    for (const auto& decision : golden.at("decisions")) {
      const auto step = decision.at("step").get<std::int64_t>();
      if (decision.at("best_step") == step) {
        run.save_checkpoint(step, [](const auto& to) { write_file_atomically(to / "weights", "w"); });
        run.rotate(step, golden.at("limit"));
        ++saved;
      }
      EXPECT_EQ(checkpoints_in(run.path()), decision.at("kept").get<Steps>()) << step;
      EXPECT_EQ(read_file(run.path() / "best", ExitCode::kInternal),
                "checkpoint-" + decision.at("best_step").dump() + "\n");
    }
    deleted += saved - checkpoints_in(run.path()).size();
  }
  EXPECT_EQ(limits, (std::set<std::int64_t>{1, 2, 3, 5}));
  EXPECT_GT(deleted, 20U);
}

}  // namespace
}  // namespace anneal
