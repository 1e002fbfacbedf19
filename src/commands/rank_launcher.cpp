#include "commands/rank_launcher.h"

#include <cstdlib>
#include <filesystem>

#include "launch/given_rank.h"
#include "launch/supervisor.h"

namespace anneal {
bool is_started_by_us() { return !current_launch_id().empty(); }

bool take_given_rank(const LaunchOptions& options, const std::set<std::string>& given) {
  const auto rank = given_rank(options, given, current_environment());
  if (!rank) return false;
  for (const auto& [name, value] : *rank) ::setenv(name.c_str(), value.c_str(), 1);
  return true;
}

int launch_ranks(const char* command, std::span<const std::string> arguments, const LaunchOptions& options,
                 std::chrono::seconds heartbeat_timeout) {
  std::vector<std::string> words = {std::filesystem::read_symlink("/proc/self/exe").string(), command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return supervise(command, words, options, supervisor_times(heartbeat_timeout));
}

}  // namespace anneal
