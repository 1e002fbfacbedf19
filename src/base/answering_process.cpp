#include "base/answering_process.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/child_process.h"
#include "base/error.h"
#include "base/start_program.h"

namespace anneal {
namespace {

constexpr std::size_t kPieceBytes = 1 << 16;

}  // namespace

AnsweringProcess::AnsweringProcess(const std::vector<std::string>& arguments) : program_(arguments.back()) {
  // A socket, not a pipe: writing to a process that is gone is an error then, no signal.
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail(ExitCode::kResources, std::string("cannot be talked to: ") + std::strerror(errno), program_,
         "close what holds many open files");
  socket_ = ends[0];
  try {
    // Any thread may start it, and end before it.
    pid_ = start_program({arguments, {}, ends[1], STDERR_FILENO, 0, ends[1]});
  } catch (const UserError&) {
    ::close(ends[0]);
    ::close(ends[1]);
    throw;
  }
  ::close(ends[1]);
}

AnsweringProcess::~AnsweringProcess() {
  ::close(socket_);
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void AnsweringProcess::send(std::string_view text) {
  while (!text.empty()) {
    const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) fail_ended();
    if (sent > 0) text.remove_prefix(sent);
  }
}

std::string AnsweringProcess::ask(std::string_view line) {
  send(line);
  send("\n");
  received_.clear();
  while (!received_.ends_with('\n')) {
    const auto before = received_.size();
    received_.resize(before + kPieceBytes);
    const auto count = ::recv(socket_, received_.data() + before, kPieceBytes, 0);
    received_.resize(before + std::max<ssize_t>(count, 0));
    if (count == 0 || (count < 0 && errno != EINTR)) fail_ended();
  }
  received_.pop_back();
  return received_;
}

void AnsweringProcess::fail_ended() {
  ::kill(-pid_, SIGKILL);
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  fail(ExitCode::kResources, "the program ended without an answer (" + end_text_of(status) + ")", program_,
       "see its message above");
}

}  // namespace anneal
