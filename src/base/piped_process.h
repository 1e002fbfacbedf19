// A program whose output this process reads, and which does not outlive it.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace anneal {

class PipedProcess {
 public:
  // Starts arguments[0], a path. `settings` are NAME=value and go before this process's environment. What it
  // says on standard error goes to `error`, a descriptor, or to the same pipe as its output where that is -1.
  // Throws UserError(kResources) where it cannot be started.
  PipedProcess(const std::vector<std::string>& arguments, const std::vector<std::string>& settings,
               int error = -1);
  ~PipedProcess();  // ends it where it still runs
  PipedProcess(const PipedProcess&) = delete;
  PipedProcess& operator=(const PipedProcess&) = delete;

  int take_output();  // the caller closes it
  // The next bytes of its output; empty at the end.
  std::string read_some();
  bool has_output_within(std::chrono::milliseconds limit) const;  // or has ended
  // Its exit status, 128 + the signal where one ended it. Call once the output has ended.
  int wait();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

// The whole output of a program. Nothing where it cannot be started, fails, or has not ended within `limit`:
// then it is ended.
std::optional<std::string> output_within(const std::vector<std::string>& arguments,
                                         std::chrono::milliseconds limit);

}  // namespace anneal
