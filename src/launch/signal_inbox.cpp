#include "launch/signal_inbox.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace anneal {

SignalInbox::SignalInbox() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &before_);
  ::signal(SIGCHLD, SIG_DFL);  // ignored, as some parents leave it, it would hide how a child ended
  descriptor_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

SignalInbox::~SignalInbox() {
  ::close(descriptor_);
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

std::vector<int> SignalInbox::take_requests() {
  std::vector<int> requests;
  signalfd_siginfo signal;
  while (::read(descriptor_, &signal, sizeof signal) == sizeof signal)
    if (signal.ssi_signo != SIGCHLD) requests.push_back(static_cast<int>(signal.ssi_signo));
  num_requests_ += static_cast<int>(requests.size());
  if (!requests.empty()) last_request_ = requests.back();
  return requests;
}

bool SignalInbox::sleep(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (take_requests().empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd place{descriptor_, POLLIN, 0};
    ::poll(&place, 1, static_cast<int>(std::min<std::chrono::milliseconds::rep>(left.count(), 1 << 30)));
  }
  return false;
}

}  // namespace anneal
