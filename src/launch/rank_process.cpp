#include "launch/rank_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/start_program.h"

namespace anneal {
namespace {

struct Pipe {
  int read_end, write_end;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {ends[0], ends[1]};
}

}  // namespace

RankProcess::RankProcess(const RankStart& start)
    : relay_(STDERR_FILENO, start.rank == 0 ? "" : "[rank " + std::to_string(start.rank) + "] "),
      end_{.rank = start.rank, .status = 0} {
  const auto errors = make_pipe();
  const int output = start.rank == 0 ? STDOUT_FILENO : ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto close_ours = [&] {
    ::close(errors.write_end);
    if (output != STDOUT_FILENO) ::close(output);
  };
  try {
    pid_ = start_program({start.command, start.environment, output, errors.write_end, SIGKILL});
  } catch (...) {
    close_ours();
    ::close(errors.read_end);
    throw;
  }
  close_ours();
  errors_ = errors.read_end;
}

RankProcess::~RankProcess() {
  if (!has_ended_) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (errors_ >= 0) ::close(errors_);
}

bool RankProcess::relay() {
  if (errors_ < 0) return false;
  char bytes[8192];
  const auto count = ::read(errors_, bytes, sizeof bytes);
  if (count > 0) {
    relay_.take({bytes, static_cast<std::size_t>(count)});
    return true;
  }
  const bool may_come = count < 0 && (errno == EAGAIN || errno == EINTR);
  if (!may_come) ::close(std::exchange(errors_, -1));
  return false;
}

bool RankProcess::has_ended() {
  siginfo_t info{};
  // Its number stays taken until it is waited for, so that the group killed is its own.
  if (has_ended_ || ::waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return has_ended_;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, &end_.status, 0);
  end_.was_hung = is_killed_ && WIFSIGNALED(end_.status);
  while (relay()) continue;
  relay_.finish();
  end_.last_lines = relay_.last_lines();
  return has_ended_ = true;
}

void RankProcess::ask(int signal) const {
  if (!has_ended_) ::kill(pid_, signal);
}

void RankProcess::kill_hung() {
  if (has_ended_) return;
  is_killed_ = true;
  ::kill(-pid_, SIGKILL);
}

}  // namespace anneal
