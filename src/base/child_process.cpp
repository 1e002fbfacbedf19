#include "base/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "base/error.h"

namespace anneal {
namespace {

constexpr auto kGrace = std::chrono::seconds(15);
constexpr auto kPollInterval = std::chrono::milliseconds(20);

// Between fork and exec: only what may be called in a process that had threads.
[[noreturn]] void become(char* const* arguments, int log, pid_t parent, int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(arguments[0], arguments);
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(report, &reason, sizeof reason);
  ::_exit(127);
}

[[noreturn]] void fail_start(const std::string& program, int reason) {
  fail(ExitCode::kResources, std::string("cannot be started: ") + std::strerror(reason), program,
       "check that it is a program that runs here");
}

}  // namespace

std::optional<std::filesystem::path> find_program(const std::string& name) {
  const auto is_program = [](const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != name.npos)
    return is_program(name) ? std::optional(std::filesystem::absolute(name)) : std::nullopt;
  const char* folders = std::getenv("PATH");
  std::istringstream list(folders == nullptr ? "" : folders);
  for (std::string folder; std::getline(list, folder, ':');)
    if (const auto path = std::filesystem::path(folder.empty() ? "." : folder) / name; is_program(path))
      return path;
  return std::nullopt;
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (output < 0)
    fail(ExitCode::kResources, std::string("cannot write: ") + std::strerror(errno), log.string(),
         "check the folder's permissions");
  std::vector<char*> values;
  for (const auto& argument : arguments) values.push_back(const_cast<char*>(argument.c_str()));
  values.push_back(nullptr);
  // exec closes its end of the pipe; a failed one writes the reason.
  int report[2] = {-1, -1};
  if (::pipe2(report, O_CLOEXEC) != 0) {
    ::close(output);
    fail_start(arguments[0], errno);
  }
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  const int fork_error = errno;
  if (pid_ == 0) become(values.data(), output, parent, report[1]);
  ::close(output);
  ::close(report[1]);
  int reason = 0;
  const bool has_failed = pid_ > 0 && ::read(report[0], &reason, sizeof reason) == sizeof reason;
  ::close(report[0]);
  if (pid_ < 0) fail_start(arguments[0], fork_error);
  if (!has_failed) return;
  ::waitpid(pid_, nullptr, 0);
  fail_start(arguments[0], reason);
}

ChildProcess::~ChildProcess() {
  // It is asked alone, so that it can end its own children in order; what is left of the group is not asked.
  if (is_running()) ::kill(pid_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  while (is_running() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(kPollInterval);
  ::kill(-pid_, SIGKILL);
  if (!has_ended_) ::waitpid(pid_, nullptr, 0);
}

bool ChildProcess::is_running() {
  if (!has_ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) has_ended_ = true;
  return !has_ended_;
}

std::string ChildProcess::end_text() const {
  if (WIFSIGNALED(status_)) return "signal " + std::to_string(WTERMSIG(status_));
  return "exit status " + std::to_string(WEXITSTATUS(status_));
}

}  // namespace anneal
