// anneal doctor: what is found without torch. The engine goes on with devices.
#pragma once

namespace anneal {

// Says it, a line each. Throws UserError(kResources) where the program does not run here.
void say_findings_without_engine();

}  // namespace anneal
