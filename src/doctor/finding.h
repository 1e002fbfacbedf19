// What `anneal doctor` has found about one thing, and the console that it goes to.
#pragma once
#include <string>
#include <vector>

#include "base/console.h"

namespace anneal {

enum class FindingState {
  kOk,
  kNotice,   // something is not there or slower than it could be; what does not need it runs
  kProblem,  // the program does not run
};

struct Finding {
  FindingState state = FindingState::kOk;
  std::string subject, text;
  std::string remedy;  // of all but kOk
};

using Findings = std::vector<Finding>;

// A line each; as figures where lines are JSON objects.
void say_findings(Console& console, const Findings& findings);

// Throws UserError(kResources) with what is a problem.
void require_no_problem(const Findings& findings);

}  // namespace anneal
