// The variables that tell a process which of several it is, and whom it meets where.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace anneal {

using Environment = std::map<std::string, std::string>;

Environment current_environment();
std::vector<std::string> to_entries(const Environment& environment);  // NAME=value

constexpr const char* kRank = "RANK";
constexpr const char* kWorldSize = "WORLD_SIZE";
constexpr const char* kLocalRank = "LOCAL_RANK";
constexpr const char* kLocalWorldSize = "LOCAL_WORLD_SIZE";
constexpr const char* kNodeRank = "NODE_RANK";
constexpr const char* kMasterAddr = "MASTER_ADDR";
constexpr const char* kMasterPort = "MASTER_PORT";
// Equal in all processes of a group: a stranger at the master's port does not know it.
constexpr const char* kRunToken = "ANNEAL_RUN_TOKEN";
// Equal in all attempts of one launch: a run that it has begun is gone on with, whatever --new_run or
// --resume say.
constexpr const char* kLaunchId = "ANNEAL_LAUNCH_ID";

std::string current_launch_id();  // empty: none
bool is_first_rank();             // or the only one: the one that a person hears

}  // namespace anneal
