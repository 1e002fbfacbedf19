#include "base/python_programs.h"

#include <cstdlib>

#include "base/child_process.h"
#include "base/folder_entries.h"
#include "base/piped_process.h"
#include "base/program_folder.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPythonStart(10);  // a cold disk
constexpr std::string_view kMetadata = ".dist-info";

std::string named_python() {
  const char* python = std::getenv(kPythonVariable);
  return python == nullptr ? "" : python;
}

fs::path own_environment() { return program_folder() / "venv"; }

// Without its Python being asked: that would take longer than all else that a command begins with.
std::optional<fs::path> own_package(const std::string& name) {
  std::error_code error;
  for (const auto& python : entries_of(own_environment() / "lib"))
    if (const auto package = python / "site-packages" / name; fs::is_directory(package, error))
      return package;
  const auto beside = program_folder().parent_path() / name;
  return fs::is_directory(beside, error) ? std::optional(beside) : std::nullopt;
}

}  // namespace

std::optional<fs::path> find_python_program(const std::string& name) {
  if (const auto python = named_python(); !python.empty()) {
    const auto folder = find_program(python).value_or(python).parent_path();
    return find_program((folder / name).string());
  }
  if (auto program = find_program(name)) return program;
  return find_program((own_environment() / "bin" / name).string());
}

std::optional<fs::path> find_python() {
  if (const auto python = named_python(); !python.empty()) return find_program(python);
  if (auto python = find_program((own_environment() / "bin/python3").string())) return python;
  return find_program("python3");
}

std::optional<std::string> ask_python(const std::string& code, std::chrono::milliseconds limit) {
  const auto python = find_python();
  return python ? output_within({python->string(), "-c", code}, limit) : std::nullopt;
}

std::optional<fs::path> find_python_package(const std::string& name) {
  if (auto package = own_package(name)) return package;
  auto answer = ask_python("import importlib.util as u; print(*(u.find_spec('" + name +
                               "').submodule_search_locations or [])[:1], end='')",
                           kPythonStart);
  return answer && !answer->empty() ? std::optional<fs::path>(*answer) : std::nullopt;
}

std::string version_of_package(const fs::path& package) {
  const auto prefix = package.filename().string() + "-";
  for (const auto& entry : entries_of(package.parent_path())) {
    const auto name = entry.filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(kMetadata)) continue;
    const auto version = name.substr(prefix.size(), name.size() - prefix.size() - kMetadata.size());
    return version.substr(0, version.find('+'));
  }
  return "";
}

}  // namespace anneal
