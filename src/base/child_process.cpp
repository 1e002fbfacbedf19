#include "base/child_process.h"

#include <fcntl.h>
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
#include "base/start_program.h"

namespace anneal {
namespace {

constexpr auto kGrace = std::chrono::seconds(15);
constexpr auto kPollInterval = std::chrono::milliseconds(20);

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

std::string end_text_of(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (output < 0)
    fail(ExitCode::kResources, std::string("cannot write: ") + std::strerror(errno), log.string(),
         "check the folder's permissions");
  const ProgramStart start{arguments, {}, output, output, SIGTERM};
  try {
    pid_ = start_program(start);
  } catch (const UserError&) {
    ::close(output);
    throw;
  }
  ::close(output);
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

std::string ChildProcess::end_text() const { return end_text_of(status_); }

}  // namespace anneal
