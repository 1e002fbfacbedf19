#include "checkpoint/run_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/folder_manifest.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

ProcessGroup alone;

namespace fs = std::filesystem;
using Names = std::set<std::string>;

void write_weights(const fs::path& folder) { write_file_atomically(folder / "weights", "w"); }

class RunDirectoryTest : public testing::Test {
 protected:
  void make_run(const std::string& name) { folder_.write(name + "/run_config.json", "{}"); }
  static void save(RunDirectory& run, std::int64_t step, std::int64_t keep) {
    run.save_checkpoint(step, write_weights);
    run.rotate(step, keep);
  }
  std::string taken(const std::string& name, bool new_run) const {
    return RunDirectory(folder_.path(), name, new_run, alone).path().filename().string();
  }
  Names names(const std::string& run) const {
    Names all;
    for (const auto& entry : fs::directory_iterator(folder_ / run))
      all.insert(entry.path().filename().string());
    all.erase(".lock");
    return all;
  }
  ScratchFolder folder_;
};

// Oracle: the digest of FIPS 180-4 for "abc", sizes by hand.
TEST_F(RunDirectoryTest, ACheckpointHasAManifest) {
  RunDirectory run(folder_.path(), "run", false, alone);
  run.set_run_id("me");
  run.save_checkpoint(20, [](const fs::path& folder) { write_file_atomically(folder / "data", "abc"); });
  const Json manifest = Json::parse(folder_.read("run/checkpoint-20/manifest.json"));
  EXPECT_EQ(manifest["version"], 1);
  EXPECT_EQ(manifest["run_id"], "me");
  EXPECT_EQ(manifest["step"], 20);
  EXPECT_EQ(manifest["complete"], true);
  EXPECT_EQ(manifest["files"].size(), 1U);
  EXPECT_EQ(manifest["files"]["data"]["size"], 3);
  EXPECT_EQ(manifest["files"]["data"]["sha256"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(folder_.read("run/latest"), "checkpoint-20\n");
  EXPECT_EQ(folder_.read("run/best"), "checkpoint-20\n");
}

// Oracle: the bytes that were written; names that lead out of the folder, by hand.
TEST_F(RunDirectoryTest, AManifestListsTheFilesOfFoldersToo) {
  RunDirectory run(folder_.path(), "run", false, alone);
  run.save_checkpoint(20, [](const fs::path& folder) {
    fs::create_directory(folder / "more");
    write_file_atomically(folder / "more/data", "abc");
  });
  const auto checkpoint = folder_ / "run/checkpoint-20";
  const auto manifest = folder_.read("run/checkpoint-20/manifest.json");
  EXPECT_EQ(Json::parse(manifest)["files"]["more/data"]["size"], 3);
  EXPECT_NO_THROW(require_manifest_holds(checkpoint));
  folder_.write("run/checkpoint-20/more/data", "abd");
  expect_user_error(ExitCode::kModel, "does not have the SHA-256",
                    [&] { require_manifest_holds(checkpoint); });
  folder_.write("data", "abc");
  for (const std::string name : {"../../data", "more/../../../data", "/data", "more/", "."}) {
    auto json = Json::parse(manifest);
    json["files"] = {{name, json["files"]["more/data"]}};
    folder_.write("run/checkpoint-20/manifest.json", json.dump());
    expect_user_error(ExitCode::kModel, "has no valid entry for \"" + name + "\"",
                      [&] { require_manifest_holds(checkpoint); });
  }
}

// Oracle: names by hand; numbers count, not their text.
TEST_F(RunDirectoryTest, RotationKeepsTheNewest) {
  RunDirectory run(folder_.path(), "run", false, alone);
  for (const std::int64_t step : {8, 9, 10, 11}) save(run, step, 2);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-10", "checkpoint-11", "latest"}));
  EXPECT_EQ(folder_.read("run/best"), "checkpoint-11\n");
}

// Oracle: names by hand; the newest stays whatever the limit.
TEST_F(RunDirectoryTest, RotationNeverDeletesTheOneJustWritten) {
  for (const std::int64_t keep : {0, 1}) {
    const auto name = "run" + std::to_string(keep);
    RunDirectory run(folder_.path(), name, false, alone);
    save(run, 20, keep);
    save(run, 30, keep);
    EXPECT_EQ(names(name), (Names{"best", "checkpoint-30", "latest"}));
  }
}

// Oracle: names by hand. A run that went back to step 20 comes to step 30 again, and writes the same there.
TEST_F(RunDirectoryTest, RotationLeavesWhatLiesAhead) {
  RunDirectory run(folder_.path(), "run", false, alone);
  save(run, 10, 2);
  save(run, 30, 2);
  save(run, 20, 1);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-20", "checkpoint-30", "latest"}));
  EXPECT_EQ(folder_.read("run/best"), "checkpoint-20\n");
}

// Oracle: names by hand; only complete checkpoints are counted or deleted.
TEST_F(RunDirectoryTest, RotationLeavesOtherFoldersAlone) {
  for (const char* other :
       {"checkpoint-5/no_manifest", "checkpoint-x/manifest.json", "checkpoint-7b/manifest.json",
        "mine-3/manifest.json", "checkpoint-/manifest.json"})
    folder_.write("run/" + std::string(other), "{}");
  RunDirectory run(folder_.path(), "run", false, alone);
  save(run, 10, 1);
  save(run, 20, 1);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-", "checkpoint-20", "checkpoint-5", "checkpoint-7b",
                                 "checkpoint-x", "latest", "mine-3"}));
}

// Oracle: the folder before.
TEST_F(RunDirectoryTest, AnExceptionWhileWritingLeavesNothing) {
  RunDirectory run(folder_.path(), "run", false, alone);
  save(run, 10, 1);
  const auto fails = [](const fs::path& folder) {
    write_weights(folder);
    throw std::runtime_error("disk");
  };
  EXPECT_THROW(run.save_checkpoint(20, fails), std::runtime_error);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-10", "latest"}));
  EXPECT_EQ(folder_.read("run/latest"), "checkpoint-10\n");
  save(run, 20, 1);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-20", "latest"}));
}

// Oracle: names by hand; the newest two states stay, whatever their number of checkpoints.
TEST_F(RunDirectoryTest, TwoStatesStay) {
  RunDirectory run(folder_.path(), "run", false, alone);
  for (const std::int64_t step : {8, 9, 10, 11}) {
    run.save_state(step, write_weights);
    run.rotate(step, 1);
  }
  EXPECT_EQ(names("run/resume"), (Names{"step-10", "step-11"}));
  EXPECT_EQ(run.states(),
            (std::vector<fs::path>{folder_ / "run/resume/step-11", folder_ / "run/resume/step-10"}));
  EXPECT_EQ(run.newest_step(), 11);
}

// Oracle: names by hand: what others have saved is neither counted, deleted nor written over.
TEST_F(RunDirectoryTest, AnotherRunsFoldersAreLeftAlone) {
  {
    RunDirectory other(folder_.path(), "run", false, alone);
    other.set_run_id("other");
    for (const std::int64_t step : {10, 9000}) {
      other.save_checkpoint(step, write_weights);
      other.save_state(step, write_weights);
    }
  }
  RunDirectory run(folder_.path(), "run", false, alone);
  run.set_run_id("me");
  EXPECT_EQ(run.newest_step(), -1);
  for (const std::int64_t step : {5, 10}) {
    run.save_checkpoint(step, write_weights);
    run.save_state(step, write_weights);
    run.rotate(step, 1);
  }
  EXPECT_EQ(names("run"),
            (Names{"best", "checkpoint-10", "checkpoint-10.other", "checkpoint-9000", "latest", "resume"}));
  EXPECT_EQ(names("run/resume"), (Names{"step-10", "step-10.other", "step-5", "step-9000"}));
  EXPECT_EQ(run.newest_step(), 10);
}

// Oracle: names by hand: what killed processes leave goes, what people put there stays.
TEST_F(RunDirectoryTest, TidyTakesLeftoversAway) {
  for (const char* name :
       {"checkpoint-9.tmp-12/half", ".trash-checkpoint-8/half", "best.partial.77", "notes.txt",
        "resume/step-7.tmp-3-replaced/half", "resume/.trash-step-6/half", "logs/x"})
    folder_.write("run/" + std::string(name), "x");
  RunDirectory run(folder_.path(), "run", false, alone);
  run.tidy();
  EXPECT_EQ(names("run"), (Names{"logs", "notes.txt", "resume"}));
  EXPECT_EQ(names("run/resume"), Names{});
}

// Oracle: pointers by hand: they lead to a checkpoint of this run, or are made to.
TEST_F(RunDirectoryTest, TidyMendsPointers) {
  RunDirectory run(folder_.path(), "run", false, alone);
  save(run, 10, 5);
  save(run, 20, 5);
  for (const char* broken : {"", "checkpoint-30\n", "../elsewhere\n", "checkpoint-10.tmp\n"}) {
    folder_.write("run/best", broken);
    fs::remove(folder_ / "run/latest");
    run.tidy();
    EXPECT_EQ(folder_.read("run/best"), "checkpoint-20\n") << broken;
    EXPECT_EQ(folder_.read("run/latest"), "checkpoint-20\n");
  }
  folder_.write("run/best", "checkpoint-10\n");
  run.tidy();
  EXPECT_EQ(folder_.read("run/best"), "checkpoint-10\n");
}

// Oracle: names by hand: the link goes, what it leads to stays.
TEST_F(RunDirectoryTest, RotationOfALinkLeavesItsTarget) {
  RunDirectory run(folder_.path(), "run", false, alone);
  save(run, 10, 5);
  fs::rename(folder_ / "run/checkpoint-10", folder_ / "elsewhere");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "run/checkpoint-10");
  save(run, 20, 1);
  EXPECT_EQ(names("run"), (Names{"best", "checkpoint-20", "latest"}));
  EXPECT_TRUE(fs::exists(folder_ / "elsewhere/manifest.json"));
}

// Oracle: names by hand.
TEST_F(RunDirectoryTest, NewRunTakesTheFirstFreeNumber) {
  EXPECT_EQ(taken("run", true), "run");
  make_run("run");
  EXPECT_EQ(taken("run", true), "run-2");
  make_run("run-2");
  make_run("run-4");
  EXPECT_EQ(taken("run", true), "run-3");
  const RunDirectory begun(folder_.path(), "run", true, alone);  // holds its folder, with nothing in it yet
  EXPECT_EQ(taken("run", true), "run-5");
}

// Oracle: the exit code of a second process while the first holds the lock, and after.
TEST_F(RunDirectoryTest, ASecondProcessIsRefused) {
  const auto in_another_process = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        RunDirectory run(folder_.path(), "run", false, alone);
      } catch (const UserError& error) {
        ::_exit(std::string(error.what()).find("another run is working there") == std::string::npos
                    ? 99
                    : static_cast<int>(error.code()));
      }
      ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  {
    const RunDirectory run(folder_.path(), "run", false, alone);
    EXPECT_EQ(in_another_process(), static_cast<int>(ExitCode::kUsage));
  }
  EXPECT_EQ(in_another_process(), 0) << "the lock goes with its holder";
}

// Oracle: the text of the error.
TEST_F(RunDirectoryTest, NamesAFolderThatCannotBeMade) {
  folder_.write("file", "x");
  expect_user_error(ExitCode::kUsage, (folder_ / "file").string(),
                    [&] { RunDirectory run(folder_ / "file", "run", false, alone); });
}

// Oracle: names by hand.
TEST_F(RunDirectoryTest, DefaultNames) {
  fs::create_directories(folder_ / "models/My Model");
  EXPECT_EQ(default_run_name((folder_ / "models/My Model").string()), "My Model");
  EXPECT_EQ(default_run_name((folder_ / "models/My Model/").string()), "My Model");
  EXPECT_EQ(default_run_name((folder_ / "models/My Model/../My Model/.").string()), "My Model");
  EXPECT_EQ(default_run_name("Qwen/Qwen3-8B"), "Qwen-Qwen3-8B");
  EXPECT_EQ(default_run_name("../x"), "x");
  EXPECT_EQ(default_run_name("a:b\nc"), "a_b_c");
  EXPECT_EQ(default_run_name(".."), fs::canonical("..").filename().string());
  EXPECT_EQ(default_run_name(""), "run");
}

}  // namespace
}  // namespace anneal
