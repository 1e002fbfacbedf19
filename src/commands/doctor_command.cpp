#include "commands/doctor_command.h"

#include "base/program_folder.h"
#include "doctor/machine_findings.h"
#include "doctor/software_findings.h"

namespace anneal {

void say_findings_without_engine() {
  Console console;
  Findings findings = {
      {FindingState::kOk, "anneal", std::string(ANNEAL_VERSION) + ", in " + program_folder().string(), ""}};
  for (auto& finding : machine_findings()) findings.push_back(std::move(finding));
  say_findings(console, findings);
  const auto software = software_findings();
  say_findings(console, software);
  require_no_problem(software);
}

}  // namespace anneal
