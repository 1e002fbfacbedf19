// Where this program and its parts lie.
#pragma once
#include <filesystem>

namespace anneal {

inline std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace anneal
