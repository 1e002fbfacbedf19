// Starts the ranks of this machine, and all of them again when one has died or hung.
#pragma once
#include "launch/launch_options.h"
#include "launch/rank_group.h"

namespace anneal {

// Longer than ranks of another machine may outlive those of this one: the first of them notices within 15 s and
// some, and the others are killed 30 s after that. No new rank may meet one of those.
constexpr auto kOtherMachinesEnd = std::chrono::seconds(50);

struct SupervisorTimes {
  GroupPatience patience;
  std::chrono::milliseconds (*delay)(std::int64_t restart) = [](std::int64_t restart) {
    return std::chrono::milliseconds(restart_delay(restart));
  };
  std::chrono::milliseconds other_machines_end = kOtherMachinesEnd;
};

// Runs options.num_workers processes of `command`, whose first is a path, as ranks of one group, and starts
// them again up to options.max_failures times. Returns the exit code: 0, or that of the rank at fault; its
// last lines are said. SIGTERM and SIGINT are passed on, and nothing is started again after one.
int supervise(const std::vector<std::string>& command, const LaunchOptions& options,
              const SupervisorTimes& times = {});

}  // namespace anneal
