#include "base/python_script.h"

#include <cstdlib>
#include <filesystem>

#include "base/child_process.h"
#include "base/error.h"

namespace anneal {

std::vector<std::string> python_command(const std::string& script, PythonChoice choice,
                                        const std::string& needs) {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const char* named = std::getenv(kPythonVariable);
  const std::string wanted = named == nullptr ? "python3" : named;
  auto python = find_program(wanted);
  if (named == nullptr && choice == PythonChoice::kOfProgram)
    if (const auto own = find_program(folder / "../../.venv/bin/python")) python = own;
  if (!python)
    fail(ExitCode::kResources, "is not a program here", wanted,
         "name the Python that has " + needs + " in " + kPythonVariable);
  return {python->string(), (folder / script).string()};
}

}  // namespace anneal
