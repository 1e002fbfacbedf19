// SIGTERM, SIGINT and SIGCHLD as something that a loop reads, instead of handlers.
#pragma once
#include <signal.h>

#include <chrono>
#include <vector>

namespace anneal {

class SignalInbox {
 public:
  SignalInbox();   // from now on they wait here
  ~SignalInbox();  // as it was before
  SignalInbox(const SignalInbox&) = delete;
  SignalInbox& operator=(const SignalInbox&) = delete;

  int descriptor() const { return descriptor_; }
  // The requests to end, SIGTERM or SIGINT, that have come since the last call.
  std::vector<int> take_requests();
  int num_requests() const { return num_requests_; }  // since the beginning
  // Whether the time has passed without a request to end.
  bool sleep(std::chrono::milliseconds time);
  int last_request() const { return last_request_; }  // 0: none yet

 private:
  sigset_t before_;
  int descriptor_;
  int num_requests_ = 0, last_request_ = 0;
};

}  // namespace anneal
