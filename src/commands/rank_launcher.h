// Several processes of this program for one command.
#pragma once
#include <chrono>
#include <set>
#include <span>
#include <string>

#include "launch/launch_options.h"

namespace anneal {

bool is_started_by_us();  // as a rank, by launch_ranks

// Where another program has started this process as one of several: completes its environment for the engine.
// Whether it is so. Throws UserError(kUsage) where environment and options contradict each other.
bool take_given_rank(const LaunchOptions& options, const std::set<std::string>& given);

// Starts this program with the same arguments as every rank of this machine, watches over them and returns
// the exit code. `heartbeat_timeout`: in which they notice that one is lost.
int launch_ranks(const char* command, std::span<const std::string> arguments, const LaunchOptions& options,
                 std::chrono::seconds heartbeat_timeout);

}  // namespace anneal
