// Oracle: torchrun's meaning of the variables, by hand.
#include "launch/started_rank.h"

#include <gmock/gmock.h>

namespace anneal {
namespace {

using testing::Contains;
using testing::Pair;

const MeetingPoint kMeeting = {"10.0.0.1", 29500, "secret"};

TEST(StartedRank, OfEachRankOfTwoMachines) {
  const LaunchOptions options{.num_workers = 4, .num_nodes = 2, .node_rank = 1};
  const auto rank = started_rank(options, 2, kMeeting, 32, {{"HOME", "/root"}, {"RANK", "9"}});
  const Environment expected = {{"HOME", "/root"},
                                {"RANK", "6"},
                                {"WORLD_SIZE", "8"},
                                {"LOCAL_RANK", "2"},
                                {"LOCAL_WORLD_SIZE", "4"},
                                {"NODE_RANK", "1"},
                                {"MASTER_ADDR", "10.0.0.1"},
                                {"MASTER_PORT", "29500"},
                                {"ANNEAL_RUN_TOKEN", "secret"},
                                {"OMP_NUM_THREADS", "8"}};
  EXPECT_EQ(rank, expected);
}

TEST(StartedRank, KeepsWhatTheUserHasSet) {
  const LaunchOptions options{.num_workers = 4};
  const Environment own = {{"OMP_NUM_THREADS", "3"}, {"ANNEAL_RUN_TOKEN", "mine"}};
  const auto rank = started_rank(options, 0, kMeeting, 32, own);
  EXPECT_THAT(rank, Contains(Pair("OMP_NUM_THREADS", "3")));
  EXPECT_THAT(rank, Contains(Pair("ANNEAL_RUN_TOKEN", "mine")));
  EXPECT_THAT(started_rank(options, 0, kMeeting, 2, {}), Contains(Pair("OMP_NUM_THREADS", "1")))
      << "more processes than cores";
}

TEST(StartedRank, TheTokenIsTheSameOnEveryMachineOfARun) {
  LaunchOptions options{
      .num_workers = 2, .num_nodes = 2, .node_rank = 0, .master_addr = "a", .master_port = 1};
  const auto token = shared_token(options);
  options.node_rank = 1;
  EXPECT_EQ(shared_token(options), token);
  options.master_port = 2;
  EXPECT_NE(shared_token(options), token);
}

}  // namespace
}  // namespace anneal
