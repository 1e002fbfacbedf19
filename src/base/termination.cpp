#include "base/termination.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace anneal {
namespace {

constexpr char kNotice[] = "\nfinishing the step and saving; a second signal leaves at once\n";

std::atomic<int> remembered_signal = 0;
std::atomic<bool> leaves_at_once = true;

// Only what a signal handler may call.
void handle(int signal) {
  if (leaves_at_once || remembered_signal.exchange(signal) != 0) ::_exit(128 + signal);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kNotice, sizeof kNotice - 1);
}

void handle_signals(bool at_once) {
  leaves_at_once = at_once;
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaction(signal, &action, nullptr);
}

}  // namespace

void leave_on_signals() { handle_signals(true); }
void finish_on_signals() { handle_signals(false); }

std::optional<ExitCode> requested_exit() {
  switch (remembered_signal) {
    case SIGTERM:
      return ExitCode::kTerminated;
    case SIGINT:
      return ExitCode::kInterrupted;
    default:
      return std::nullopt;
  }
}

}  // namespace anneal
