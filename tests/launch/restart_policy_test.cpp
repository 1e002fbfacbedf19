// Oracle: spec cases by hand.
#include "launch/restart_policy.h"

#include <gmock/gmock.h>

namespace anneal {
namespace {

RankEnd exited(std::int64_t rank, int code) { return {.rank = rank, .status = code << 8}; }
RankEnd killed(std::int64_t rank, int signal) { return {.rank = rank, .status = signal}; }
RankEnd hung(std::int64_t rank) { return {.rank = rank, .status = 9, .was_hung = true}; }

std::int64_t at_fault(const std::vector<RankEnd>& ends) {
  const auto* cause = root_cause(ends);
  return cause == nullptr ? -1 : cause->rank;
}

TEST(RestartPolicy, HowARankEnded) {
  EXPECT_EQ(exited(0, 0).exit_code(), 0);
  EXPECT_EQ(exited(2, 6).exit_code(), 6);
  EXPECT_EQ(exited(2, 6).text(), "rank 2 ended with exit status 6");
  EXPECT_EQ(killed(1, 9).exit_code(), 137);
  EXPECT_EQ(killed(1, 9).text(), "rank 1 was killed by signal 9");
  EXPECT_EQ(hung(3).exit_code(), 7);
  EXPECT_EQ(hung(3).text(), "rank 3 hung and was killed");
}

TEST(RestartPolicy, WhoseFaultItWas) {
  EXPECT_EQ(at_fault({}), -1);
  EXPECT_EQ(at_fault({exited(1, 0), exited(0, 0)}), -1);
  EXPECT_EQ(at_fault({exited(1, 7), exited(0, 3), exited(2, 4)}), 0) << "those with 7 lost a peer";
  EXPECT_EQ(at_fault({exited(2, 7), killed(1, 9), hung(0)}), 1) << "a hung one waited for it";
  EXPECT_EQ(at_fault({exited(2, 0), exited(1, 7), hung(0)}), 0) << "nobody else did anything wrong";
  EXPECT_EQ(at_fault({exited(2, 7), exited(1, 7)}), 2) << "the culprit is on another machine";
  EXPECT_EQ(at_fault({exited(1, 0), exited(0, 7)}), 0);
}

TEST(RestartPolicy, WhatIsTriedAgain) {
  for (const int code : {1, 6, 7, 127, 134, 137, 139}) EXPECT_TRUE(may_restart(code)) << code;
  for (const int code : {2, 3, 4, 5, 130, 143}) EXPECT_FALSE(may_restart(code)) << code;
  using std::chrono::seconds;
  EXPECT_EQ(restart_delay(1), seconds(1));
  EXPECT_EQ(restart_delay(2), seconds(5));
  EXPECT_EQ(restart_delay(3), seconds(15));
  EXPECT_EQ(restart_delay(99), seconds(15));
}

}  // namespace
}  // namespace anneal
