#include "base/python_script.h"

#include <cstdlib>

#include "base/child_process.h"
#include "base/error.h"
#include "base/program_folder.h"

namespace anneal {

std::vector<std::string> python_command(const std::string& script, PythonChoice choice,
                                        const std::string& needs) {
  const char* named = std::getenv(kPythonVariable);
  const bool is_own = named == nullptr && choice == PythonChoice::kOfProgram;
  const std::string wanted = named == nullptr ? "python3" : named;
  const auto python = is_own ? find_python() : find_program(wanted);
  if (!python)
    fail(ExitCode::kResources, "is not a program here", wanted,
         "name the Python that has " + needs + " in " + kPythonVariable);
  return {python->string(), (program_folder() / script).string()};
}

}  // namespace anneal
