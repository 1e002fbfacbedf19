#include "launch/rank_group.h"

#include <poll.h>

#include <algorithm>

namespace anneal {

using Clock = std::chrono::steady_clock;

RankGroup::RankGroup(const std::vector<RankStart>& starts, const GroupPatience& patience)
    : patience_(patience) {
  for (const auto& start : starts) ranks_.push_back(std::make_unique<RankProcess>(start));
}

std::vector<RankEnd> RankGroup::wait(SignalInbox& inbox) {
  std::vector<RankEnd> ends;
  while (!ranks_.empty()) {
    sleep(inbox);
    pass_on(inbox);
    for (const auto& rank : ranks_) rank->relay();
    take_ends(ends);
    if (!deadline_ || Clock::now() < *deadline_) continue;
    for (const auto& rank : ranks_) rank->kill_hung();
    deadline_.reset();
  }
  return ends;
}

// Until a signal comes, a rank writes, or the deadline passes.
void RankGroup::sleep(const SignalInbox& inbox) const {
  std::vector<pollfd> places = {{inbox.descriptor(), POLLIN, 0}};
  for (const auto& rank : ranks_) places.push_back({rank->descriptor(), POLLIN, 0});
  int timeout = -1;
  if (deadline_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now());
    timeout = static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
  }
  ::poll(places.data(), places.size(), timeout);
}

void RankGroup::pass_on(SignalInbox& inbox) {
  for (const int signal : inbox.take_requests()) {
    for (const auto& rank : ranks_) rank->ask(signal);
    if (inbox.num_requests() > 1) end_within(patience_.after_failure);
  }
}

void RankGroup::take_ends(std::vector<RankEnd>& ends) {
  std::erase_if(ranks_, [&](const auto& rank) {
    if (!rank->has_ended()) return false;
    if (ends.empty()) first_end_ = Clock::now();
    ends.push_back(rank->end());
    const int code = rank->end().exit_code();
    end_within(code == 0 || is_requested_end(code) ? patience_.after_end : patience_.after_failure);
    return true;
  });
}

void RankGroup::end_within(std::chrono::milliseconds time) {
  const auto deadline = Clock::now() + time;
  deadline_ = deadline_ ? std::min(*deadline_, deadline) : deadline;
}

}  // namespace anneal
