// Loads the shared object that holds torch, for the commands that need it.
#pragma once
#include <string>

namespace anneal {

// Returns the command's exit code. Throws UserError where the shared object cannot be loaded.
int run_in_engine(const std::string& command, const std::string& request);

}  // namespace anneal
