// One exception type for what a user can get wrong: problem, place, remedy and the exit code it leads to.
#pragma once
#include <exception>
#include <string>
#include <vector>

namespace anneal {

enum class ExitCode {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,
  kData = 3,
  kModel = 4,
  kNumerical = 5,
  kResources = 6,
  kDistributed = 7,
  kInterrupted = 130,
  kTerminated = 143,
};

struct Problem {
  std::string problem;  // what is wrong, with the offending value
  std::string where;    // file:line, tensor name or flag
  std::string remedy;   // what to do next
};

class UserError : public std::exception {
 public:
  UserError(ExitCode code, Problem problem);
  UserError(ExitCode code, std::vector<Problem> problems);  // at least one
  ExitCode code() const { return code_; }
  const std::vector<Problem>& problems() const { return problems_; }
  const char* what() const noexcept override { return text_.c_str(); }  // all problems, one paragraph each

 private:
  ExitCode code_;
  std::vector<Problem> problems_;
  std::string text_;
};

[[noreturn]] void fail(ExitCode code, std::string problem, std::string where, std::string remedy);

}  // namespace anneal
