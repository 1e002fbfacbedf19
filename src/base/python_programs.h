// The Python environment that some of the program's work is left to.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace anneal {

// A command of it, such as `hf`: beside the Python that ANNEAL_PYTHON names where it names one, else on PATH,
// else in the environment that this program was built with.
std::optional<std::filesystem::path> find_python_program(const std::string& name);

// Its Python: ANNEAL_PYTHON, else that of the build, else python3 on PATH.
std::optional<std::filesystem::path> find_python();

}  // namespace anneal
