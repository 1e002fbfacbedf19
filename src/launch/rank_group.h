// The ranks of this machine, from their start to the end of the last one.
#pragma once
#include <chrono>
#include <memory>
#include <optional>

#include "launch/rank_process.h"
#include "launch/signal_inbox.h"

namespace anneal {

// How long the other ranks have, once one has ended. What is left then is killed.
struct GroupPatience {
  std::chrono::milliseconds after_failure;  // or after a second request to end
  // After a rank that is done or was asked to end: another may still save. As long as a collective may take.
  std::chrono::milliseconds after_end = std::chrono::minutes(30);
};

class RankGroup {
 public:
  // Throws UserError(kResources), with none left running, where one cannot be started.
  RankGroup(const std::vector<RankStart>& starts, const GroupPatience& patience);

  // Until all have ended; requests to end are passed on. In the order of their ends.
  std::vector<RankEnd> wait(SignalInbox& inbox);
  std::chrono::steady_clock::time_point first_end() const { return first_end_; }

 private:
  void sleep(const SignalInbox& inbox) const;
  void pass_on(SignalInbox& inbox);
  void take_ends(std::vector<RankEnd>& ends);
  void end_within(std::chrono::milliseconds time);

  std::vector<std::unique_ptr<RankProcess>> ranks_;
  GroupPatience patience_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::chrono::steady_clock::time_point first_end_;
};

}  // namespace anneal
