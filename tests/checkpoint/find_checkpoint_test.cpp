#include "checkpoint/find_checkpoint.h"

#include "base/json.h"
#include "checkpoint/run_directory.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

ProcessGroup alone;

namespace fs = std::filesystem;
using testing::HasSubstr;

class FindCheckpoint : public testing::Test {
 protected:
  void write_adapter(const fs::path& folder) const {
    fs::create_directories(folder);
    write_file_atomically(folder / "adapter_config.json", "{}");
    write_tensors(folder / "adapter_model.safetensors", {{"a", random_tensor({2, 3}, 1)}});
  }
  // As other programs leave them: no manifest.
  fs::path foreign(const std::string& name, std::int64_t step = -1) const {
    const auto folder = folder_ / name;
    write_adapter(folder);
    if (step >= 0) folder_.write(name + "/trainer_state.json", Json({{"global_step", step}}).dump());
    return folder;
  }
  void save_run(std::initializer_list<std::int64_t> steps) const {
    RunDirectory run(folder_.path(), "run", false, alone);
    for (const auto step : steps) run.save_checkpoint(step, [&](const fs::path& to) { write_adapter(to); });
  }
  CheckpointOptions in_run(const std::string& which = "best") const {
    CheckpointOptions options;
    options.checkpoints_dir = (folder_ / "run").string();
    options.which = which;
    return options;
  }
  std::string found(const CheckpointOptions& options) {
    notices_.clear();
    const auto checkpoint =
        find_checkpoint(options, [&](const std::string& line) { notices_ += line + "\n"; });
    return fs::relative(checkpoint.folder, folder_.path()).string();
  }
  std::string error_of(const CheckpointOptions& options, const std::string& part) {
    return expect_user_error(ExitCode::kModel, part, [&] { found(options); });
  }

  ScratchFolder folder_;
  std::string notices_;
};

// Oracle: the pointers by hand; they need not name the highest step.
TEST_F(FindCheckpoint, PointersDecide) {
  save_run({10, 20, 30});
  folder_.write("run/best", "checkpoint-20\n");
  EXPECT_EQ(found(in_run()), "run/checkpoint-20");
  EXPECT_EQ(found(in_run("latest")), "run/checkpoint-30");
  folder_.write("run/latest", "checkpoint-10\n");
  EXPECT_EQ(found(in_run("latest")), "run/checkpoint-10");
  EXPECT_EQ(notices_, "");
}

// Oracle: numbers count, not their text, nor times.
TEST_F(FindCheckpoint, WithoutAPointerTheHighestStep) {
  save_run({9, 10, 100});
  foreign("run/checkpoint-99");
  fs::remove(folder_ / "run/best");
  EXPECT_EQ(found(in_run()), "run/checkpoint-100");
  folder_.write("run/best", "../run/checkpoint-9\n");
  EXPECT_EQ(found(in_run()), "run/checkpoint-100") << "a pointer leads nowhere outside";
  folder_.write("run/best", "checkpoint-77\n");
  EXPECT_EQ(found(in_run()), "run/checkpoint-100") << "a pointer to what was deleted";
}

// Oracle: what was done to the files; the notice names them.
TEST_F(FindCheckpoint, IncompleteOnesArePassedOver) {
  save_run({10, 20, 30, 40, 50});
  auto weights = folder_.read("run/checkpoint-50/adapter_model.safetensors");
  weights.back() ^= 1;
  folder_.write("run/checkpoint-50/adapter_model.safetensors", weights);
  fs::resize_file(folder_ / "run/checkpoint-40/adapter_model.safetensors", 20);
  fs::remove(folder_ / "run/checkpoint-30/adapter_config.json");
  folder_.write("run/checkpoint-20/manifest.json", R"({"complete": false, "files": {}})");
  foreign("run/checkpoint-15.tmp-1");
  EXPECT_EQ(found(in_run()), "run/checkpoint-10");
  EXPECT_THAT(notices_, HasSubstr("checkpoint-50/adapter_model.safetensors: does not have the SHA-256"));
  EXPECT_THAT(notices_, HasSubstr("checkpoint-40/adapter_model.safetensors: has 20 bytes"));
  EXPECT_THAT(notices_, HasSubstr("checkpoint-30/adapter_config.json: is listed in manifest.json, but"));
  EXPECT_THAT(notices_, HasSubstr("checkpoint-20/manifest.json: does not say that"));
  EXPECT_EQ(std::count(notices_.begin(), notices_.end(), '\n'), 4) << "each is named once\n" << notices_;
}

// Oracle: the layouts of transformers and Ray 2.52 by hand.
TEST_F(FindCheckpoint, OtherProgramsLayouts) {
  foreign("run/TorchTrainer_b/checkpoint_000001/checkpoint", 30);
  foreign("run/checkpoint_000009/checkpoint", 20);
  EXPECT_EQ(found(in_run()), "run/TorchTrainer_b/checkpoint_000001/checkpoint");
  foreign("run/checkpoint_000002/checkpoint", 30);
  foreign("run/checkpoint_000003/checkpoint", 30);
  EXPECT_EQ(found(in_run()), "run/checkpoint_000003/checkpoint") << "of one step, the last name";
  folder_.write("run/checkpoint_000010/checkpoint/pytorch_model.bin", "pickle");
  EXPECT_EQ(found(in_run()), "run/checkpoint_000003/checkpoint");
  EXPECT_EQ(notices_, "") << "older than what was taken, so not looked at";
  foreign("run/checkpoint-5");
  EXPECT_EQ(found(in_run()), "run/checkpoint-5") << "checkpoint-<step> goes first";
}

// Oracle: the folder that was named.
TEST_F(FindCheckpoint, TheOneThatIsNamed) {
  save_run({10, 20});
  CheckpointOptions options = in_run();
  options.checkpoint = (folder_ / "run/checkpoint-10/").string();
  EXPECT_EQ(found(options), "run/checkpoint-10");
  options.checkpoint = foreign("elsewhere").string();
  EXPECT_EQ(found(options), "elsewhere");
  options.checkpoint = (folder_ / "nowhere").string();
  error_of(options, "is not a folder");
  options.checkpoint = (folder_ / "run/checkpoint-20").string();
  fs::remove(folder_ / "run/checkpoint-20/adapter_model.safetensors");
  EXPECT_THAT(error_of(options, "is not a complete checkpoint"), HasSubstr("adapter_model.safetensors"));
  options.checkpoint = folder_.path().string();
  error_of(options, "there is neither adapter_config.json nor config.json");
}

// Oracle: which files are there.
TEST_F(FindCheckpoint, SeesWhatItHolds) {
  const auto adapter = foreign("run/checkpoint-1");
  write_tiny_model(folder_ / "run/checkpoint-2", tiny_config());
  const auto kind = [&](std::int64_t step, bool full_ft) {
    CheckpointOptions options;
    options.checkpoint = (folder_ / ("run/checkpoint-" + std::to_string(step))).string();
    options.full_ft = full_ft;
    return find_checkpoint(options, [](const std::string&) {}).is_adapter;
  };
  EXPECT_TRUE(kind(1, false));
  EXPECT_FALSE(kind(2, false));
  EXPECT_FALSE(kind(2, true));
  expect_user_error(ExitCode::kModel, "holds a LoRA adapter, not all weights", [&] { kind(1, true); });
}

// Oracle: the four places of the documentation; links in circles are not there.
TEST_F(FindCheckpoint, ListsWhereItLooked) {
  fs::create_directories(folder_ / "run");
  fs::create_directory_symlink("checkpoint-3", folder_ / "run/checkpoint-3");
  fs::create_symlink("best", folder_ / "run/best");
  const auto text = error_of(in_run(), "there is no complete checkpoint");
  for (const char* place : {"run/best", "run/checkpoint-<step>", "run/checkpoint_*/checkpoint",
                            "run/TorchTrainer_*/checkpoint_*/checkpoint"})
    EXPECT_THAT(text, HasSubstr(place));
  CheckpointOptions unnamed;
  unnamed.base_model = "some/model";
  error_of(unnamed, "results/some-model/best");
}

}  // namespace
}  // namespace anneal
