// What the control groups of this process (a container's, a job's of a cluster) allow it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

namespace anneal {

struct GroupLimits {
  std::optional<std::int64_t> memory_bytes;       // the least of all groups that it is in
  std::optional<std::int64_t> memory_left_bytes;  // without what is kept of files and can be given back
  std::optional<double> processors;
};

// Nothing where there is no limit. `groups_file` names the groups, below `root`, of both versions.
GroupLimits group_limits(const std::filesystem::path& groups_file = "/proc/self/cgroup",
                         const std::filesystem::path& root = "/sys/fs/cgroup");

}  // namespace anneal
