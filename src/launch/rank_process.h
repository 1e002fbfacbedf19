// One rank: a process in a group of its own, with what it writes to its standard error.
#pragma once
#include <sys/types.h>

#include "launch/error_relay.h"
#include "launch/restart_policy.h"

namespace anneal {

struct RankStart {
  std::int64_t rank;
  std::vector<std::string> command;      // the first is a path
  std::vector<std::string> environment;  // NAME=value
};

class RankProcess {
 public:
  // Rank 0's standard output is ours; that of the others is not shown.
  explicit RankProcess(const RankStart& start);
  // Kills what is left of its group. Should this process die, the system kills the rank.
  ~RankProcess();
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  int descriptor() const { return errors_; }  // readable when it has written; -1 when nothing more can come
  bool relay();                               // some of what it has written; whether there was any
  bool has_ended();                           // and then its group is gone
  void ask(int signal) const;                 // the rank alone, not its children
  void kill_hung();                           // and all its children, also where it is stopped
  const RankEnd& end() const { return end_; }

 private:
  pid_t pid_;
  int errors_;
  ErrorRelay relay_;
  bool has_ended_ = false, is_killed_ = false;
  RankEnd end_;
};

}  // namespace anneal
