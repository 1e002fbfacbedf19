// The Python environment that some of the program's work is left to, and whose packages hold the libraries
// that the program loads. The program's own is the folder or link `venv` beside it.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

namespace anneal {

inline constexpr const char* kPythonVariable = "ANNEAL_PYTHON";

// A command of it, such as `hf`: beside the Python that ANNEAL_PYTHON names where it names one, else on PATH,
// else in the program's own environment.
std::optional<std::filesystem::path> find_python_program(const std::string& name);

// Its Python: ANNEAL_PYTHON, else that of the program's own environment, else python3 on PATH.
std::optional<std::filesystem::path> find_python();

// What `code` prints in that Python. Nothing where there is none, or it fails or takes longer than `limit`.
std::optional<std::string> ask_python(const std::string& code, std::chrono::milliseconds limit);

// The folder of a package: of the program's own environment, else beside the program's folder, as in a wheel,
// else wherever find_python() has it.
std::optional<std::filesystem::path> find_python_package(const std::string& name);

// As its metadata says, without what names a build, such as +cpu; "" where it has none.
std::string version_of_package(const std::filesystem::path& package);

}  // namespace anneal
