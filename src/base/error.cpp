#include "base/error.h"

#include <utility>

namespace anneal {
namespace {

std::string render(const std::vector<Problem>& problems) {
  std::string text;
  for (const auto& [problem, where, remedy] : problems) {
    if (!text.empty()) text += '\n';
    if (!where.empty()) text += where + ": ";
    text += problem;
    if (!remedy.empty()) text += "\n  try: " + remedy;
  }
  return text;
}

}  // namespace

UserError::UserError(ExitCode code, Problem problem)
    : UserError(code, std::vector<Problem>{std::move(problem)}) {}

UserError::UserError(ExitCode code, std::vector<Problem> problems)
    : code_(code), problems_(std::move(problems)), text_(render(problems_)) {}

void fail(ExitCode code, std::string problem, std::string where, std::string remedy) {
  throw UserError(code, Problem{std::move(problem), std::move(where), std::move(remedy)});
}

}  // namespace anneal
