// The environment of a rank that the supervisor of its machine starts.
#pragma once
#include "launch/environment.h"
#include "launch/launch_options.h"

namespace anneal {

struct MeetingPoint {
  std::string address;
  std::int64_t port;
  std::string token;  // see kRunToken
};

// The same on every machine of a run, since nothing but the options is known on all of them before they meet:
// it keeps out other runs that came to the wrong port, not an attacker. Who wants that sets kRunToken
// himself.
std::string shared_token(const LaunchOptions& options);

// The variables of one rank over those that are there already; a token, a launch id and a number of threads
// that the user has set stay. `cores`: of this machine.
Environment started_rank(const LaunchOptions& options, std::int64_t local_rank, const MeetingPoint& meeting,
                         std::int64_t cores, const Environment& inherited);

}  // namespace anneal
