#include "launch/restart_policy.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/error.h"

namespace anneal {
namespace {

constexpr int kPeersCode = static_cast<int>(ExitCode::kDistributed);

}  // namespace

int RankEnd::exit_code() const {
  if (was_hung) return kPeersCode;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string RankEnd::text() const {
  if (was_hung) return fmt::format("rank {} hung and was killed", rank);
  if (WIFSIGNALED(status)) return fmt::format("rank {} was killed by signal {}", rank, WTERMSIG(status));
  return fmt::format("rank {} ended with exit status {}", rank, WEXITSTATUS(status));
}

bool is_requested_end(int exit_code) {
  return exit_code == static_cast<int>(ExitCode::kInterrupted) ||
         exit_code == static_cast<int>(ExitCode::kTerminated);
}

const RankEnd* root_cause(std::span<const RankEnd> ends) {
  const auto first = [&](const auto& is_it) -> const RankEnd* {
    const auto found = std::find_if(ends.begin(), ends.end(), is_it);
    return found == ends.end() ? nullptr : &*found;
  };
  const auto* cause =
      first([](const RankEnd& end) { return end.exit_code() != 0 && end.exit_code() != kPeersCode; });
  if (cause == nullptr) cause = first([](const RankEnd& end) { return end.was_hung; });
  return cause != nullptr ? cause : first([](const RankEnd& end) { return end.exit_code() != 0; });
}

bool may_restart(int exit_code) {
  switch (static_cast<ExitCode>(exit_code)) {
    case ExitCode::kUsage:
    case ExitCode::kData:
    case ExitCode::kModel:
    case ExitCode::kNumerical:
      return false;
    default:
      return !is_requested_end(exit_code);
  }
}

std::chrono::seconds restart_delay(std::int64_t number) {
  constexpr std::int64_t kDelays[] = {1, 5, 15};
  return std::chrono::seconds(kDelays[std::clamp<std::int64_t>(number, 1, 3) - 1]);
}

}  // namespace anneal
