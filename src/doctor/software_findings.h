// Programs, libraries and their versions, and the hub.
#pragma once
#include "doctor/finding.h"

namespace anneal {

// `object`: one of the program's own shared objects, which takes libraries from a Python package. `state`:
// where that is missing or of another version.
Finding package_finding(const std::string& object, FindingState state);

Finding vllm_finding();
Finding hub_client_finding();
Finding hub_finding();  // without asking it

// Python, and its packages that parts of the program ask for.
Findings python_findings();

Findings software_findings();  // all of these

}  // namespace anneal
