// The scripts in Python that lie beside the program, and the Python that runs them.
#pragma once
#include <string>
#include <vector>

#include "base/python_programs.h"

namespace anneal {

enum class PythonChoice {
  kOfUser,     // python3 of PATH: with the packages that the user has put there
  kOfProgram,  // find_python(): that of the program's own environment where there is one
};

// The words that start the script; the environment's ANNEAL_PYTHON names another Python. Throws
// UserError(kResources) where there is none; `needs`: what it has to have, for the message.
std::vector<std::string> python_command(const std::string& script, PythonChoice choice,
                                        const std::string& needs);

}  // namespace anneal
