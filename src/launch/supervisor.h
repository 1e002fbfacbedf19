// Starts the ranks of this machine, and all of them again when one has died or hung.
#pragma once
#include "launch/launch_options.h"
#include "launch/rank_group.h"

namespace anneal {

struct SupervisorTimes {
  GroupPatience patience;
  std::chrono::milliseconds (*delay)(std::int64_t restart) = [](std::int64_t restart) {
    return std::chrono::milliseconds(restart_delay(restart));
  };
  // Longer than ranks of another machine may outlive the first that ended on this one: no new rank may meet
  // one of those.
  std::chrono::milliseconds other_machines_end;
};

// Where a rank notices within `heartbeat_timeout`, and a few seconds, that another is gone. It then has time
// to say where it stood.
SupervisorTimes supervisor_times(std::chrono::seconds heartbeat_timeout);

// Runs options.num_workers processes of `command`, whose first is a path, as ranks of one group, and starts
// them again up to options.max_failures times. Returns the exit code: 0, or that of the rank at fault; its
// last lines are said, in the name of the command `name`. SIGTERM and SIGINT are passed on, and nothing is
// started again after one.
int supervise(const std::string& name, const std::vector<std::string>& command, const LaunchOptions& options,
              const SupervisorTimes& times);

}  // namespace anneal
