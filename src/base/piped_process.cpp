#include "base/piped_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/start_program.h"

namespace anneal {
namespace {

std::vector<std::string> environment_with(const std::vector<std::string>& settings) {
  auto environment = settings;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const auto name = text.substr(0, text.find('=') + 1);
    if (std::none_of(settings.begin(), settings.end(),
                     [&](const auto& setting) { return setting.starts_with(name); }))
      environment.push_back(text);
  }
  return environment;
}

}  // namespace

PipedProcess::PipedProcess(const std::vector<std::string>& arguments,
                           const std::vector<std::string>& settings, int error) {
  int pipe[2] = {-1, -1};
  if (::pipe2(pipe, O_CLOEXEC) != 0)
    fail(ExitCode::kResources, std::string("cannot open a pipe: ") + std::strerror(errno), arguments[0],
         "allow this process more open files");
  output_ = pipe[0];
  try {
    pid_ =
        start_program({arguments, environment_with(settings), pipe[1], error < 0 ? pipe[1] : error, SIGTERM});
  } catch (const UserError&) {
    ::close(pipe[0]);
    ::close(pipe[1]);
    throw;
  }
  ::close(pipe[1]);
}

PipedProcess::~PipedProcess() {
  if (output_ >= 0) ::close(output_);
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int PipedProcess::take_output() { return std::exchange(output_, -1); }

std::string PipedProcess::read_some() {
  std::array<char, 1 << 14> buffer;
  while (true) {
    const auto count = ::read(output_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
}

bool PipedProcess::has_output_within(std::chrono::milliseconds limit) const {
  pollfd waiting{output_, POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(limit.count(), 0))) > 0;
}

int PipedProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::optional<std::string> output_within(const std::vector<std::string>& arguments,
                                         std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + limit;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  std::string text;
  try {
    PipedProcess process(arguments, {}, nowhere);
    ::close(nowhere);
    while (process.has_output_within(
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()))) {
      const auto chunk = process.read_some();
      if (chunk.empty()) return process.wait() == 0 ? std::optional(text) : std::nullopt;
      text += chunk;
    }
  } catch (const UserError&) {
    ::close(nowhere);
  }
  return std::nullopt;
}

}  // namespace anneal
