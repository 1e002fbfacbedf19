#include "base/control_group.h"

#include <gtest/gtest.h>

#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

// Oracle of these: files as the kernel writes them, with limits by hand.
TEST(ControlGroup, TheLeastLimitOfVersion2Counts) {
  const ScratchFolder root;
  const auto groups = root.write("groups", "0::/job/step\n");
  root.write("job/memory.max", "8000\n");
  root.write("job/memory.current", "5000\n");
  root.write("job/memory.stat", "anon 3900\nfile 1000\ninactive_file 600\nactive_file 400\nslab 7\n");
  root.write("job/step/memory.max", "max\n");
  root.write("job/step/cpu.max", "150000 100000\n");
  root.write("job/cpu.max", "max 100000\n");
  const auto limits = group_limits(groups, root.path());
  EXPECT_EQ(limits.memory_bytes, 8000);
  EXPECT_EQ(limits.memory_left_bytes, 8000 - 5000 + 1000);
  EXPECT_EQ(limits.processors, 1.5);
}

TEST(ControlGroup, TheRootOfAContainerOfVersion1Counts) {
  const ScratchFolder root;
  const auto groups = root.write("groups", "4:memory:/docker/abc\n3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n");
  root.write("memory/memory.limit_in_bytes", "1000\n");
  root.write("memory/memory.usage_in_bytes", "900\n");
  root.write("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 50\ntotal_active_file 25\n");
  root.write("cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  root.write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  const auto limits = group_limits(groups, root.path());
  EXPECT_EQ(limits.memory_bytes, 1000);
  EXPECT_EQ(limits.memory_left_bytes, 175);
  EXPECT_EQ(limits.processors, 0.5);
}

TEST(ControlGroup, WhatIsNotLimitedHasNoLimit) {
  const ScratchFolder root;
  const auto groups = root.write("groups", "4:memory:/\n2:cpu:/\n0::/\n");
  root.write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("cpu/cpu.cfs_quota_us", "-1\n");
  root.write("cpu/cpu.cfs_period_us", "100000\n");
  const auto limits = group_limits(groups, root.path());
  EXPECT_FALSE(limits.memory_bytes || limits.memory_left_bytes || limits.processors);
  const auto nowhere = group_limits(root / "none", root.path());
  EXPECT_FALSE(nowhere.memory_bytes || nowhere.memory_left_bytes || nowhere.processors);
}

}  // namespace
}  // namespace anneal
