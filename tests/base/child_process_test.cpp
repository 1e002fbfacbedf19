// Oracle: by hand, what becomes of processes.
#include "base/child_process.h"

#include <gmock/gmock.h>

#include <csignal>

#include "tests/support/processes.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

TEST(ChildProcess, KeepsItsOutputAndSaysHowItEnded) {
  const ScratchFolder folder;
  ChildProcess child({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, folder / "log");
  wait_until([&] { return !child.is_running(); });
  EXPECT_EQ(child.end_text(), "exit status 3");
  EXPECT_EQ(folder.read("log"), "out\nerr\n");
}

TEST(ChildProcess, EndsWithItsOwnChildren) {
  const ScratchFolder folder;
  pid_t grandchild = 0;
  {
    const ChildProcess child({"/bin/sh", "-c", "sleep 600 & echo $!; wait"}, folder / "log");
    wait_until([&] { return folder.read("log").ends_with('\n'); });
    grandchild = std::stoi(folder.read("log"));
    ASSERT_EQ(::kill(grandchild, 0), 0);
  }
  EXPECT_TRUE(wait_until_gone(grandchild));
}

TEST(ChildProcess, AProgramThatCannotBeStarted) {
  const ScratchFolder folder;
  const auto file = folder.write("plain", "no program");
  expect_user_error(ExitCode::kResources, "cannot be started", [&] { ChildProcess({file}, folder / "log"); });
  EXPECT_EQ(find_program(file), std::nullopt);
  EXPECT_EQ(find_program("no-such-program-anywhere"), std::nullopt);
  ASSERT_TRUE(find_program("sh").has_value());
  EXPECT_TRUE(find_program("sh")->is_absolute());
}

}  // namespace
}  // namespace anneal
