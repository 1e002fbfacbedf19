#include "base/control_group.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;  // version 1 says a number close to 2^63

// The folder of a group and those of the groups that it is in. In a container the first ones are often not to
// be seen, and the root is the container's.
std::vector<fs::path> chain_of(const fs::path& root, fs::path group) {
  std::vector<fs::path> folders;
  for (group = group.relative_path(); !group.empty(); group = group.parent_path())
    folders.push_back(root / group);
  folders.push_back(root);
  return folders;
}

std::optional<std::int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// The files' pages in memory of "memory.stat", which are given back where memory is wanted.
std::int64_t file_pages(const fs::path& path, const std::string& prefix) {
  std::ifstream file(path);
  std::string name;
  std::int64_t bytes = 0, number = 0;
  while (file >> name >> number)
    if (name == prefix + "inactive_file" || name == prefix + "active_file") bytes += number;
  return bytes;
}

struct MemoryFiles {
  const char *limit, *used, *stat_prefix;
};
constexpr MemoryFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
constexpr MemoryFiles kVersion2{"memory.max", "memory.current", ""};

void take_less(std::optional<std::int64_t>& least, std::int64_t value) {
  least = std::min(least.value_or(value), value);
}

void add_memory(GroupLimits& limits, const fs::path& folder, const MemoryFiles& files) {
  const auto limit = number_in(folder / files.limit);  // "max" is no number
  if (!limit || *limit >= kNoLimit) return;
  take_less(limits.memory_bytes, *limit);
  const auto used = number_in(folder / files.used).value_or(0);
  take_less(limits.memory_left_bytes, *limit - used + file_pages(folder / "memory.stat", files.stat_prefix));
}

void add_processors(GroupLimits& limits, double quota, double period) {
  if (quota <= 0 || period <= 0) return;
  limits.processors = std::min(limits.processors.value_or(quota / period), quota / period);
}

void add_version_2(GroupLimits& limits, const fs::path& folder) {
  add_memory(limits, folder, kVersion2);
  std::ifstream file(folder / "cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period) add_processors(limits, quota, period);
}

}  // namespace

GroupLimits group_limits(const fs::path& groups_file, const fs::path& root) {
  GroupLimits limits;
  std::ifstream groups(groups_file);
  for (std::string line; std::getline(groups, line);) {  // number:controllers:group
    std::istringstream parts(line);
    std::string number, controllers, group;
    std::getline(parts, number, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    if (controllers.empty())
      for (const auto& folder : chain_of(root, group)) add_version_2(limits, folder);
    if (controllers == "memory")
      for (const auto& folder : chain_of(root / "memory", group)) add_memory(limits, folder, kVersion1);
    if (controllers.find("cpu") == 0 && controllers.find("cpuset") != 0)
      for (const auto& folder : chain_of(root / controllers, group))
        add_processors(limits, number_in(folder / "cpu.cfs_quota_us").value_or(0),
                       number_in(folder / "cpu.cfs_period_us").value_or(0));
  }
  return limits;
}

}  // namespace anneal
