#include "base/piped_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.h"
#include "base/shared_object.h"

namespace anneal {
namespace {

std::string all_output(PipedProcess& process) {
  std::string text;
  for (auto chunk = process.read_some(); !chunk.empty(); chunk = process.read_some()) text += chunk;
  return text;
}

// Oracle of these: what the shell says about the same commands.
TEST(PipedProcess, OutputAndStatusArrive) {
  PipedProcess process({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, {});
  EXPECT_EQ(all_output(process), "out\nerr\n");
  EXPECT_EQ(process.wait(), 3);
  PipedProcess killed({"/bin/sh", "-c", "kill -9 $$"}, {});
  EXPECT_EQ(all_output(killed), "");
  EXPECT_EQ(killed.wait(), 128 + 9);
}

TEST(PipedProcess, SettingsGoBeforeTheEnvironment) {
  ::setenv("ANNEAL_TEST_A", "old", 1);
  ::setenv("ANNEAL_TEST_B", "kept", 1);
  PipedProcess process({"/bin/sh", "-c", "echo $ANNEAL_TEST_A $ANNEAL_TEST_B"}, {"ANNEAL_TEST_A=new"});
  EXPECT_EQ(all_output(process), "new kept\n");
  EXPECT_EQ(process.wait(), 0);
}

TEST(PipedProcess, ItDoesNotOutliveItsOwner) {
  pid_t pid = 0;
  {
    PipedProcess process({"/bin/sh", "-c", "echo $$; exec sleep 1000"}, {});
    pid = static_cast<pid_t>(std::stol(process.read_some()));
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(PipedProcess, WhatIsNoProgramIsRefused) {
  EXPECT_THROW(PipedProcess({"/nowhere/program"}, {}), UserError);
}

TEST(PipedProcess, OutputIsWaitedForOnlySoLong) {
  using std::chrono::milliseconds;
  EXPECT_EQ(output_within({"/bin/sh", "-c", "echo one; echo err >&2; echo two"}, milliseconds(60'000)),
            "one\ntwo\n");
  EXPECT_EQ(output_within({"/bin/sh", "-c", "echo one; exit 1"}, milliseconds(60'000)), std::nullopt);
  EXPECT_EQ(output_within({"/nowhere/program"}, milliseconds(60'000)), std::nullopt);
  EXPECT_EQ(output_within({"/bin/sh", "-c", "echo one; exec sleep 1000"}, milliseconds(50)), std::nullopt);
}

TEST(SharedObject, AMissingPartIsNamed) {
  try {
    load_entry("the part", "libanneal_nowhere.so", "entry");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kInternal);
    EXPECT_NE(std::string(error.what()).find("cannot load the part"), std::string::npos);
  }
}

}  // namespace
}  // namespace anneal
