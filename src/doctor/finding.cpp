#include "doctor/finding.h"

#include <fmt/format.h>

namespace anneal {
namespace {

const char* name_of(FindingState state) {
  if (state == FindingState::kOk) return "ok";
  return state == FindingState::kNotice ? "notice" : "PROBLEM";
}

std::string line_of(const Finding& finding) {
  const auto line = fmt::format("{:<8} {}: {}", name_of(finding.state), finding.subject, finding.text);
  return finding.remedy.empty() ? line : line + "; try: " + finding.remedy;
}

}  // namespace

void say_findings(Console& console, const Findings& findings) {
  for (const auto& finding : findings)
    console.say_figures({{"state", name_of(finding.state)},
                         {"subject", finding.subject},
                         {"text", finding.text},
                         {"remedy", finding.remedy}},
                        line_of(finding));
}

void require_no_problem(const Findings& findings) {
  std::vector<Problem> problems;
  for (const auto& finding : findings)
    if (finding.state == FindingState::kProblem)
      problems.push_back({finding.text, finding.subject, finding.remedy});
  if (!problems.empty()) throw UserError(ExitCode::kResources, problems);
}

}  // namespace anneal
