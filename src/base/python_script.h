// The scripts in Python that lie beside the program, and the Python that runs them.
#pragma once
#include <string>
#include <vector>

namespace anneal {

inline constexpr const char* kPythonVariable = "ANNEAL_PYTHON";

enum class PythonChoice {
  kOfUser,     // python3 of PATH: with the packages that the user has put there
  kOfProgram,  // that of the environment that the program was built in, with the packages of its lock file;
               // where there is none, python3 of PATH
};

// The words that start the script; the environment's ANNEAL_PYTHON names another Python. Throws
// UserError(kResources) where there is none; `needs`: what it has to have, for the message.
std::vector<std::string> python_command(const std::string& script, PythonChoice choice,
                                        const std::string& needs);

}  // namespace anneal
