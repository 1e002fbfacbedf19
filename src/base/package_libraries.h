// The libraries that the program takes from packages of Python: torch's, and pyarrow's.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace anneal {

struct NeededPackage {
  std::string name, version;           // that the program was built with
  std::vector<std::string> libraries;  // below the package's folder
};

// What `object` (one of the program's own shared objects) takes from a package; nothing named where none.
NeededPackage package_needed_by(const std::string& object);

// The package's folder. Throws UserError(kResources) where it is missing or of another version.
std::filesystem::path require_package(const NeededPackage& package);

// From now on an object that asks for these libraries by their names gets them, wherever they lie. Does
// nothing for objects that need no package. Throws UserError as above, and where one cannot be loaded.
void load_package_libraries(const std::string& object);

}  // namespace anneal
