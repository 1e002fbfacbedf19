// Oracle: the documented variables of torchrun and of srun, by hand.
#include "launch/given_rank.h"

#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::Pair;

const Environment kTorchrun = {{"RANK", "5"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "29500"}};
const Environment kSrun = {{"SLURM_JOB_ID", "70001"},
                           {"SLURM_STEP_ID", "2"},
                           {"SLURM_STEP_NUM_TASKS", "4"},
                           {"SLURM_PROCID", "3"},
                           {"SLURM_LOCALID", "1"},
                           {"SLURM_NODEID", "1"},
                           {"SLURM_STEP_NODELIST", "gpu[07-08]"}};

Environment with(Environment environment, const Environment& changes) {
  for (const auto& [name, value] : changes) environment[name] = value;
  return environment;
}

std::string refused(const LaunchOptions& options, const Environment& environment, const std::string& part) {
  return expect_user_error(ExitCode::kUsage, part,
                           [&] { given_rank(options, {"num_workers"}, environment); });
}

TEST(GivenRank, NobodyHasMadeItARank) {
  EXPECT_FALSE(given_rank({}, {}, {{"HOME", "/root"}, {"RANK", ""}, {"MASTER_PORT", "1"}}));
}

TEST(GivenRank, Torchrun) {
  EXPECT_EQ(given_rank({}, {}, kTorchrun), kTorchrun);
  // --num_workers may say what is so: the processes of this machine, or all.
  for (const std::int64_t workers : {4, 8})
    EXPECT_TRUE(given_rank({.num_workers = workers}, {"num_workers"}, kTorchrun));
  EXPECT_THAT(refused({.num_workers = 3}, kTorchrun, "--num_workers: is 3"), HasSubstr("WORLD_SIZE=8"));
}

TEST(GivenRank, AloneItMeetsNobody) { EXPECT_TRUE(given_rank({}, {}, {{"RANK", "0"}, {"WORLD_SIZE", "1"}})); }

TEST(GivenRank, WhatContradictsItself) {
  refused({}, {{"RANK", "0"}}, "RANK: is 0, and WORLD_SIZE is not set");
  refused({}, {{"WORLD_SIZE", "2"}}, "WORLD_SIZE: is 2, and RANK is not set");
  refused({.num_workers = 8}, with(kTorchrun, {{"RANK", "8"}}), "RANK: is 8, and WORLD_SIZE is 8");
  refused({.num_workers = 8}, with(kTorchrun, {{"LOCAL_RANK", "4"}}),
          "LOCAL_RANK: is 4, and LOCAL_WORLD_SIZE is 4");
  refused({.num_workers = 8}, with(kTorchrun, {{"RANK", "-1"}}), "RANK: \"-1\"");
  refused({.num_workers = 8}, with(kTorchrun, {{"WORLD_SIZE", "8x"}}), "WORLD_SIZE: \"8x\"");
  refused({.num_workers = 8, .master_addr = "other"}, kTorchrun, "--master_addr: is other");
  refused({.num_workers = 8, .master_port = 1}, kTorchrun, "--master_port: is 1");
}

TEST(GivenRank, FlagsSayWhereToMeetWhenTheEnvironmentDoesNot) {
  const Environment bare = {{"RANK", "0"}, {"WORLD_SIZE", "2"}};
  const auto rank = given_rank({.master_addr = "a", .master_port = 7}, {}, bare);
  ASSERT_TRUE(rank);
  EXPECT_THAT(*rank, Contains(Pair("MASTER_ADDR", "a")));
  EXPECT_THAT(*rank, Contains(Pair("MASTER_PORT", "7")));
  EXPECT_THAT(refused({.num_workers = 2}, bare, "MASTER_ADDR: is not set"),
              HasSubstr("MASTER_PORT: is not set"));
}

TEST(GivenRank, ATaskOfSrun) {
  const auto rank = given_rank({}, {}, kSrun);
  ASSERT_TRUE(rank);
  for (const auto& [name, value] : Environment{{"RANK", "3"},
                                               {"WORLD_SIZE", "4"},
                                               {"LOCAL_RANK", "1"},
                                               {"NODE_RANK", "1"},
                                               {"MASTER_ADDR", "gpu07"},
                                               {"MASTER_PORT", std::to_string(15000 + 70003 % 15000)}})
    EXPECT_THAT(*rank, Contains(Pair(name, value)));
  EXPECT_THAT(*given_rank({}, {}, with(kSrun, {{"MASTER_ADDR", "10.0.0.1"}})),
              Contains(Pair("MASTER_ADDR", "10.0.0.1")));
}

TEST(GivenRank, InSlurmAndNoTaskOfSrunThatTrainsWithOthers) {
  EXPECT_FALSE(given_rank({}, {}, with(kSrun, {{"SLURM_STEP_ID", "4294967291"}}))) << "a batch script";
  EXPECT_FALSE(given_rank({}, {}, with(kSrun, {{"SLURM_STEP_ID", ""}})));
  EXPECT_FALSE(given_rank({}, {}, with(kSrun, {{"SLURM_STEP_NUM_TASKS", "1"}})));
  EXPECT_FALSE(given_rank({.num_nodes = 2}, {"num_nodes"}, kSrun))
      << "one task a machine launches the others";
  const auto rank = given_rank({}, {}, with(kTorchrun, kSrun));
  EXPECT_THAT(*rank, Contains(Pair("RANK", "5"))) << "torchrun that srun has started";
}

TEST(GivenRank, TheFirstHost) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("a,b"), "a");
  EXPECT_EQ(first_host("gpu[007-009,12],big1"), "gpu007");
  EXPECT_EQ(first_host("gpu[12,14]"), "gpu12");
  EXPECT_EQ(first_host("rack[2-3]-node[01-16].x"), "rack2-node01.x");
  EXPECT_EQ(first_host(""), "");
  EXPECT_EQ(first_host("gpu[1"), "");
}

}  // namespace
}  // namespace anneal
