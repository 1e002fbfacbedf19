// A program that answers each line that it is given with a line.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace anneal {

class AnsweringProcess {
 public:
  // Starts arguments[0], a path. What it prints as errors goes where ours go. Should this process die without
  // coming to the end of this object, the end of its standard input tells it. Throws UserError(kResources)
  // where it cannot be started.
  explicit AnsweringProcess(const std::vector<std::string>& arguments);
  ~AnsweringProcess();  // ends it by force: it keeps nothing
  AnsweringProcess(const AnsweringProcess&) = delete;
  AnsweringProcess& operator=(const AnsweringProcess&) = delete;

  // Both without line ends. Throws UserError(kResources), saying how it ended, where it has.
  std::string ask(std::string_view line);

 private:
  void send(std::string_view text);
  [[noreturn]] void fail_ended();

  std::string program_;
  int socket_ = -1;
  pid_t pid_ = -1;
  std::string received_;
};

}  // namespace anneal
