// Oracle: by hand, what becomes of shell scripts that stand in for ranks.
#include "launch/supervisor.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "launch/port_reservation.h"
#include "tests/support/processes.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr milliseconds kSoon(1000), kNever = std::chrono::minutes(10);

SupervisorTimes quick() {
  return {.patience = {kNever, kNever},
          .delay = [](std::int64_t restart) { return milliseconds(restart); },
          .other_machines_end = milliseconds(2)};
}

// Where ranks must be killed.
SupervisorTimes impatient() {
  auto times = quick();
  times.patience.after_failure = kSoon;
  return times;
}

SupervisorTimes slow_to_restart() {
  auto times = quick();
  times.delay = [](std::int64_t) { return kNever; };
  return times;
}

// supervise() in a process of its own, in a folder of its own; the script may keep files there.
class Supervised {
 public:
  Supervised(const ScratchFolder& folder, const std::string& script, const LaunchOptions& options,
             const SupervisorTimes& times = quick(), int terminal = -1)
      : folder_(folder), name_("of_machine_" + std::to_string(options.node_rank)) {
    // Each try leaves a line "<rank> <pid>".
    const auto whole = "echo $RANK $$ >> tries; tries=$(grep -c \"^$RANK \" tries)\n" + script;
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setpgid(0, 0);
    if (::chdir(folder.path().c_str()) != 0) ::_exit(99);
    const auto open = [&](const std::string& kind) {
      return ::open((name_ + kind).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    };
    ::dup2(terminal >= 0 ? terminal : open(".out"), STDOUT_FILENO);
    ::dup2(open(".err"), STDERR_FILENO);
    int code = 99;
    try {
      code = supervise("train", {"/bin/sh", "-c", whole}, options, times);
    } catch (const UserError& error) {
      code = static_cast<int>(error.code());
    }
    ::_exit(code);
  }
  ~Supervised() {
    if (!has_ended_) ::kill(pid_, SIGKILL);
    if (!has_ended_) ::waitpid(pid_, nullptr, 0);
  }

  int exit_code() {
    int status = 0;
    has_ended_ = wait_until([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    EXPECT_TRUE(has_ended_) << errors();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void send(int signal) const { ::kill(pid_, signal); }
  std::string output() const { return folder_.read(name_ + ".out"); }
  std::string errors() const { return folder_.read(name_ + ".err"); }
  bool has_said(const std::string& text) const { return errors().find(text) != std::string::npos; }

 private:
  const ScratchFolder& folder_;
  std::string name_;
  pid_t pid_;
  bool has_ended_ = false;
};

struct Try {
  std::int64_t rank;
  pid_t pid;
};

std::vector<Try> tries(const ScratchFolder& folder) {
  std::istringstream lines(folder.read("tries"));
  std::vector<Try> all;
  for (Try one; lines >> one.rank >> one.pid;) all.push_back(one);
  return all;
}

std::int64_t num_tries(const ScratchFolder& folder, std::int64_t rank) {
  std::int64_t count = 0;
  for (const auto& one : tries(folder)) count += one.rank == rank;
  return count;
}

void expect_nothing_left(const ScratchFolder& folder) {
  for (const auto& one : tries(folder)) EXPECT_TRUE(wait_until_gone(one.pid)) << "rank " << one.rank;
}

const LaunchOptions kTwo = {.num_workers = 2}, kTwoOnce = {.num_workers = 2, .max_failures = 0};

TEST(Supervisor, WhatIsShownOfWhichRank) {
  const ScratchFolder folder;
  Supervised run(folder, "echo out $RANK; printf 'one %s\\n\\ntwo' $RANK >&2", kTwo);
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_EQ(run.output(), "out 0\n");
  EXPECT_THAT(run.errors(), HasSubstr("one 0\n\ntwo"));
  EXPECT_THAT(run.errors(), HasSubstr("[rank 1] one 1\n"));
  EXPECT_THAT(run.errors(), HasSubstr("[rank 1] two\n"));
  EXPECT_THAT(run.errors(), Not(HasSubstr("[rank 1] \n")));
}

TEST(Supervisor, Rank0HasTheTerminal) {
  const ScratchFolder folder;
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(::grantpt(master) + ::unlockpt(master), 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  Supervised run(folder, "[ -t 1 ] && echo yes > terminal_$RANK; exit 0", kTwo, quick(), terminal);
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_EQ(folder.read("terminal_0"), "yes\n");
  EXPECT_EQ(folder.read("terminal_1"), "");
  ::close(terminal);
  ::close(master);
}

TEST(Supervisor, EachAttemptHasItsTokenAndTheLaunchItsId) {
  const ScratchFolder folder;
  Supervised run(
      folder,
      "echo $ANNEAL_RUN_TOKEN > token_$RANK.$tries; echo $ANNEAL_LAUNCH_ID $MASTER_PORT > id_$RANK.$tries\n"
      "[ $tries = 2 ]",
      kTwo);
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_EQ(folder.read("token_0.1"), folder.read("token_1.1"));
  EXPECT_NE(folder.read("token_0.1"), folder.read("token_0.2"));
  EXPECT_EQ(folder.read("id_0.1"), folder.read("id_1.2"));
  EXPECT_GT(folder.read("id_0.1").size(), 32U);
}

TEST(Supervisor, StartsAllAgainAfterOneIsKilled) {
  const ScratchFolder folder;
  Supervised run(folder, "[ $tries = 2 ] && exit 0; [ $RANK = 1 ] && kill -9 $$; sleep 600", kTwo,
                 impatient());
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_THAT(run.errors(),
              HasSubstr("anneal train: rank 1 was killed by signal 9; restart 1 of 2 in 0.001 s\n"));
  EXPECT_EQ(num_tries(folder, 0), 2) << "rank 0 did not notice, and was killed";
  expect_nothing_left(folder);
}

TEST(Supervisor, GivesUpWithTheCodeAndTheLastLinesOfTheRankAtFault) {
  const ScratchFolder folder;
  Supervised run(folder, "[ $RANK = 0 ] && exit 7; echo lost >&2; echo why it failed >&2; exit 6", kTwo);
  EXPECT_EQ(run.exit_code(), 6);
  EXPECT_EQ(num_tries(folder, 1), 3);
  EXPECT_THAT(run.errors(),
              HasSubstr("restart 2 of 2 in 0.002 s; its last lines:\n  | lost\n  | why it failed\n"));
  EXPECT_TRUE(
      run.errors().ends_with("anneal train: rank 1 ended with exit status 6; 2 of 2 restarts are used up; "
                             "its last lines:\n  | lost\n  | why it failed\n"))
      << run.errors();
}

TEST(Supervisor, ASignalsCodeIsAShells) {
  const ScratchFolder folder;
  Supervised run(folder, "[ $RANK = 0 ] && exit 7; kill -SEGV $$", kTwoOnce);
  EXPECT_EQ(run.exit_code(), 128 + SIGSEGV);
}

TEST(Supervisor, DoesNotTryAgainWhatWouldFailAgain) {
  for (const int code : {2, 3, 4, 5, 130, 143}) {
    const ScratchFolder folder;
    Supervised run(folder, "[ $RANK = 1 ] && exit " + std::to_string(code) + "; exit 7", kTwo);
    EXPECT_EQ(run.exit_code(), code);
    EXPECT_EQ(num_tries(folder, 0), 1) << code;
    EXPECT_THAT(run.errors(), Not(HasSubstr("restart"))) << code;
  }
}

TEST(Supervisor, AStoppedRankIsKilled) {
  const ScratchFolder folder;
  Supervised run(folder, "[ $RANK = 1 ] && kill -STOP $$; exit 7", kTwoOnce, impatient());
  EXPECT_EQ(run.exit_code(), 7);
  EXPECT_THAT(run.errors(), HasSubstr("rank 1 hung and was killed"));
  expect_nothing_left(folder);
}

TEST(Supervisor, ARankThatIsDoneWaitsForTheOthers) {
  const ScratchFolder folder;
  Supervised run(folder, "[ $RANK = 1 ] && exit 0; until [ -e go ]; do sleep 0.01; done", kTwo);
  ASSERT_TRUE(wait_until([&] { return tries(folder).size() == 2; }));
  for (const auto& one : tries(folder)) ASSERT_TRUE(one.rank == 0 || wait_until_gone(one.pid));
  folder.write("go", "");
  EXPECT_EQ(run.exit_code(), 0);
}

TEST(Supervisor, NothingOfARankIsLeftBehind) {
  const ScratchFolder folder;
  Supervised run(folder, "sleep 600 & echo $RANK $! >> tries", kTwo);
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_EQ(tries(folder).size(), 4U);
  expect_nothing_left(folder);
}

TEST(Supervisor, WhatIsLeftIsKilledWhenItIsKilledItself) {
  const ScratchFolder folder;
  Supervised run(folder, "trap '' TERM; echo > ready_$RANK; [ $RANK = 1 ] && kill -STOP $$; sleep 600", kTwo);
  const auto is_stopped = [&] {
    for (const auto& one : tries(folder))
      if (one.rank == 1) return process_state(one.pid) == "T";
    return false;
  };
  ASSERT_TRUE(wait_until([&] { return folder.names().count("ready_0") != 0 && is_stopped(); }));
  run.send(SIGKILL);
  run.exit_code();
  expect_nothing_left(folder);
}

constexpr const char* kObeys =
    "trap 'echo >> asked_$RANK; exit 143' TERM; echo > ready_$RANK; sleep 600 & wait";

bool are_ready(const ScratchFolder& folder) {
  return folder.names().count("ready_0") != 0 && folder.names().count("ready_1") != 0;
}

TEST(Supervisor, PassesARequestToEndOn) {
  const ScratchFolder folder;
  Supervised run(folder, kObeys, kTwo);
  ASSERT_TRUE(wait_until([&] { return are_ready(folder); }));
  run.send(SIGTERM);
  EXPECT_EQ(run.exit_code(), 143);
  EXPECT_EQ(folder.read("asked_0"), "\n");
  EXPECT_EQ(folder.read("asked_1"), "\n");
  EXPECT_EQ(num_tries(folder, 0), 1);
  EXPECT_EQ(run.errors(), "");
}

TEST(Supervisor, NothingIsStartedAgainAfterARequestToEnd) {
  const ScratchFolder folder;
  Supervised run(folder, "trap 'exit 1' INT; echo > ready_$RANK; sleep 600 & wait", kTwo);
  ASSERT_TRUE(wait_until([&] { return are_ready(folder); }));
  run.send(SIGINT);
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_EQ(num_tries(folder, 0), 1);
}

TEST(Supervisor, ASecondRequestIsObeyed) {
  const ScratchFolder folder;
  Supervised run(folder, "trap 'echo >> asked_$RANK' TERM; echo > ready_$RANK; while :; do sleep 0.01; done",
                 kTwo, impatient());
  ASSERT_TRUE(wait_until([&] { return are_ready(folder); }));
  run.send(SIGTERM);
  ASSERT_TRUE(wait_until(
      [&] { return folder.names().count("asked_0") != 0 && folder.names().count("asked_1") != 0; }));
  run.send(SIGTERM);
  EXPECT_EQ(run.exit_code(), 143);
  EXPECT_EQ(folder.read("asked_1"), "\n\n");
  expect_nothing_left(folder);
}

TEST(Supervisor, ARequestToEndBetweenTwoAttempts) {
  const ScratchFolder folder;
  Supervised run(folder, "exit 1", kTwo, slow_to_restart());
  ASSERT_TRUE(wait_until([&] { return run.has_said("restart 1 of 2 in 600 s"); }));
  run.send(SIGINT);
  EXPECT_EQ(run.exit_code(), 130);
}

TEST(Supervisor, AProgramThatCannotBeStarted) {
  expect_user_error(ExitCode::kResources, "cannot be started",
                    [] { supervise("train", {"/no/such/program"}, kTwo, quick()); });
}

TEST(Supervisor, TwoMachinesStayTogether) {
  const ScratchFolder folder;
  LaunchOptions options{.num_workers = 2, .num_nodes = 2, .node_rank = 0, .master_addr = "127.0.0.1"};
  options.master_port = PortReservation(std::nullopt).port();
  const std::string script =
      "echo $MASTER_ADDR:$MASTER_PORT $ANNEAL_RUN_TOKEN > meets_$RANK.$tries\n"
      "[ $tries = 2 ] && exit 0; [ $RANK = 3 ] && { echo > failed; exit 1; }\n"
      "until [ -e failed ]; do sleep 0.01; done; exit 7";
  Supervised first(folder, script, options);
  options.node_rank = 1;
  Supervised second(folder, script, options);
  EXPECT_EQ(first.exit_code(), 0);
  EXPECT_EQ(second.exit_code(), 0);
  EXPECT_EQ(tries(folder).size(), 8U);
  EXPECT_THAT(second.errors(), HasSubstr("rank 3 ended with exit status 1; restart 1 of 2"));
  EXPECT_THAT(first.errors(), HasSubstr("ended with exit status 7; restart 1 of 2"));
  EXPECT_THAT(second.errors(), HasSubstr("ranks 2 to 3 of 4"));
  for (const char* other : {"1.1", "2.1", "3.2"})
    EXPECT_EQ(folder.read("meets_0.1"), folder.read(std::string("meets_") + other));
}

}  // namespace
}  // namespace anneal
