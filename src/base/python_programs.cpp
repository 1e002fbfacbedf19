#include "base/python_programs.h"

#include <cstdlib>

#include "base/child_process.h"

namespace anneal {
namespace {

const std::string kBuiltWith = ANNEAL_VENV_PROGRAMS "/";

std::string named_python() {
  const char* python = std::getenv("ANNEAL_PYTHON");
  return python == nullptr ? "" : python;
}

}  // namespace

std::optional<std::filesystem::path> find_python_program(const std::string& name) {
  if (const auto python = named_python(); !python.empty()) {
    const auto folder = find_program(python).value_or(python).parent_path();
    return find_program((folder / name).string());
  }
  if (auto program = find_program(name)) return program;
  return find_program(kBuiltWith + name);
}

std::optional<std::filesystem::path> find_python() {
  if (const auto python = named_python(); !python.empty()) return find_program(python);
  if (auto python = find_program(kBuiltWith + "python3")) return python;
  return find_program("python3");
}

}  // namespace anneal
