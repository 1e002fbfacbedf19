#include "launch/supervisor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/console.h"
#include "base/random_id.h"
#include "launch/port_reservation.h"
#include "launch/started_rank.h"

namespace anneal {
namespace {

using Clock = std::chrono::steady_clock;

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000);
}

std::string last_lines_text(const RankEnd& end) {
  std::string text;
  for (const auto& line : end.last_lines) text += "\n  | " + line;
  return text.empty() ? "" : "; its last lines:" + text;
}

class Supervisor {
 public:
  Supervisor(const std::string& name, const std::vector<std::string>& command, const LaunchOptions& options,
             const SupervisorTimes& times)
      : name_(name),
        command_(command),
        options_(options),
        times_(times),
        environment_(current_environment()) {
    environment_.try_emplace(kLaunchId, random_id());
    if (options.node_rank == 0) port_.emplace(options.master_port);
  }

  int run() {
    describe();
    for (std::int64_t restart = 1;; ++restart) {
      RankGroup group(starts(), times_.patience);
      const auto ends = group.wait(inbox_);
      const auto* cause = root_cause(ends);
      if (cause == nullptr) return 0;
      const int code = exit_code(*cause);
      if (inbox_.last_request() != 0 || !may_restart(code) || restart > options_.max_failures) {
        say_last(*cause, restart - 1);
        return code;
      }
      const auto delay = delay_before(restart, group.first_end());
      say(fmt::format("{}; restart {} of {} in {}{}", cause->text(), restart, options_.max_failures,
                      seconds_text(delay), last_lines_text(*cause)));
      if (!inbox_.sleep(delay)) return 128 + inbox_.last_request();
    }
  }

 private:
  void say(const std::string& text) const { write_notice(STDERR_FILENO, aside_line(name_, text)); }

  void describe() const {
    const auto cores = std::thread::hardware_concurrency();
    if (options_.num_workers > cores)
      say(fmt::format("warning: {} processes on {} cores: they take turns", options_.num_workers, cores));
    if (options_.node_rank == 0) return;
    const auto first = options_.node_rank * options_.num_workers, last = first + options_.num_workers - 1;
    const auto ranks =
        first == last ? fmt::format("rank {}", first) : fmt::format("ranks {} to {}", first, last);
    say(fmt::format("{} of {}; machine 0 says how the run goes", ranks, options_.world_size()));
  }

  std::vector<RankStart> starts() const {
    const bool is_alone = options_.num_nodes == 1;
    const MeetingPoint meeting{options_.master_addr.value_or("127.0.0.1"),
                               port_ ? port_->port() : *options_.master_port,
                               is_alone ? random_id() : shared_token(options_)};
    std::vector<RankStart> all;
    for (std::int64_t local = 0; local < options_.num_workers; ++local)
      all.push_back({options_.node_rank * options_.num_workers + local, command_,
                     to_entries(started_rank(options_, local, meeting, std::thread::hardware_concurrency(),
                                             environment_))});
    return all;
  }

  std::chrono::milliseconds delay_before(std::int64_t restart, Clock::time_point first_end) const {
    const auto delay = times_.delay(restart);
    if (options_.num_nodes == 1) return delay;
    const auto gone = first_end + times_.other_machines_end - Clock::now();
    return std::max(delay, std::chrono::ceil<std::chrono::milliseconds>(gone));
  }

  // A second request to end has that end, whether the ranks obeyed or had to be killed.
  int exit_code(const RankEnd& cause) const {
    const bool is_killed = cause.was_hung && inbox_.num_requests() > 1;
    return is_killed ? 128 + inbox_.last_request() : cause.exit_code();
  }

  void say_last(const RankEnd& cause, std::int64_t restarts) const {
    if (is_requested_end(exit_code(cause))) return;
    const bool is_given_up = inbox_.last_request() == 0 && may_restart(cause.exit_code());
    say(cause.text() +
        (is_given_up ? fmt::format("; {} of {} restarts are used up", restarts, options_.max_failures) : "") +
        last_lines_text(cause));
  }

  const std::string& name_;
  const std::vector<std::string>& command_;
  const LaunchOptions& options_;
  const SupervisorTimes& times_;
  Environment environment_;
  std::optional<PortReservation> port_;
  SignalInbox inbox_;
};

}  // namespace

SupervisorTimes supervisor_times(std::chrono::seconds heartbeat_timeout) {
  const auto noticed = heartbeat_timeout + std::chrono::seconds(5);
  const auto killed = heartbeat_timeout + std::chrono::seconds(15);
  return {.patience = {.after_failure = killed}, .other_machines_end = noticed + killed};
}

int supervise(const std::string& name, const std::vector<std::string>& command, const LaunchOptions& options,
              const SupervisorTimes& times) {
  return Supervisor(name, command, options, times).run();
}

}  // namespace anneal
