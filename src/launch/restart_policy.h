// What the end of a group of ranks means: whose fault it was, and whether to start them again.
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace anneal {

struct RankEnd {
  std::int64_t rank;
  int status;                           // as waitpid gives it
  bool was_hung = false;                // it had to be killed, long after another had ended
  std::vector<std::string> last_lines;  // of its standard error

  // As a shell says it: 128 + n for signal n. A hung rank's is that of lost peers.
  int exit_code() const;
  std::string text() const;  // "rank 1 was killed by signal 9"
};

// 130 and 143: it was asked to end, and did.
bool is_requested_end(int exit_code);

// The rank that the others ended for, of ends in their order: the first that ended by itself with another
// code than that of lost peers, else the first that hung, else the first that failed. Null where all is well.
const RankEnd* root_cause(std::span<const RankEnd> ends);

// Wrong options, data, models and numbers are so again the next time.
bool may_restart(int exit_code);

// Before restart 1, 2, ...
std::chrono::seconds restart_delay(std::int64_t number);

}  // namespace anneal
