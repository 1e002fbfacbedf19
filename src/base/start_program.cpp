#include "base/start_program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

namespace anneal {
namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only what may be called in a process that had threads.
[[noreturn]] void become(char* const* arguments, char* const* environment, const ProgramStart& start,
                         pid_t parent, int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, start.death_signal);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(start.input >= 0 ? start.input : ::open("/dev/null", O_RDONLY), STDIN_FILENO);
  ::dup2(start.output, STDOUT_FILENO);
  ::dup2(start.error, STDERR_FILENO);
  ::execve(arguments[0], arguments, environment);
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(report, &reason, sizeof reason);
  ::_exit(127);
}

[[noreturn]] void fail_start(const std::string& program, int reason) {
  fail(ExitCode::kResources, std::string("cannot be started: ") + std::strerror(reason), program,
       "check that it is a program that runs here");
}

}  // namespace

pid_t start_program(const ProgramStart& start) {
  const auto arguments = pointers_to(start.arguments);
  const auto given = pointers_to(start.environment);
  char* const* environment = start.environment.empty() ? environ : given.data();
  // exec closes its end of the pipe; a failed one writes the reason.
  int report[2] = {-1, -1};
  if (::pipe2(report, O_CLOEXEC) != 0) fail_start(start.arguments[0], errno);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  const int fork_error = errno;
  if (pid == 0) become(arguments.data(), environment, start, parent, report[1]);
  ::close(report[1]);
  int reason = 0;
  const bool has_failed = pid > 0 && ::read(report[0], &reason, sizeof reason) == sizeof reason;
  ::close(report[0]);
  if (pid < 0) fail_start(start.arguments[0], fork_error);
  if (!has_failed) return pid;
  ::waitpid(pid, nullptr, 0);
  fail_start(start.arguments[0], reason);
}

}  // namespace anneal
