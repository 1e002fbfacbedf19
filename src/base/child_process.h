// A program that runs beside ours and never outlives it.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace anneal {

// `name` itself where it holds a slash, else the first executable of that name on PATH.
std::optional<std::filesystem::path> find_program(const std::string& name);

std::string end_text_of(int status);  // of waitpid(): "exit status 3", "signal 9"

class ChildProcess {
 public:
  // Starts arguments[0], a path, in a process group of its own; what it prints goes to `log`, from its
  // beginning. Throws UserError(kResources) where it cannot be started.
  ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log);
  // Asks the child to end, and ends by force what is left of its group then or after some seconds. Should
  // this process die without coming here, the system asks the child to end.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool is_running();
  std::string end_text() const;  // how it ended

 private:
  pid_t pid_;
  bool has_ended_ = false;
  int status_ = 0;
};

}  // namespace anneal
