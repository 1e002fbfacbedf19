#include "base/termination.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/console.h"

namespace anneal {
namespace {

std::string& notice =
    *new std::string;  // set before the handler is; never destroyed, signals come at exit too
std::atomic<int> remembered_signal = 0;
std::atomic<bool> leaves_at_once = true;

// Only what a signal handler may call.
void handle(int signal) {
  const bool is_first = remembered_signal.exchange(signal) == 0;
  if (is_first) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, notice.data(), notice.size());
  }
  if (leaves_at_once || !is_first) ::_exit(128 + signal);
}

void handle_signals(bool at_once, const std::string& text) {
  leaves_at_once = at_once;
  notice = text.empty() ? "" : notice_line(text);
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaction(signal, &action, nullptr);
}

}  // namespace

void leave_on_signals(const std::string& text) { handle_signals(true, text); }
void finish_on_signals(bool speaks) {
  handle_signals(false, speaks ? "finishing the step and saving; a second signal leaves at once" : "");
}

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
