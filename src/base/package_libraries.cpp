#include "base/package_libraries.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/python_programs.h"

namespace anneal {

namespace fs = std::filesystem;

NeededPackage package_needed_by(const std::string& object) {
  if (object == "libanneal_engine.so") return {"torch", ANNEAL_TORCH_VERSION, {"lib/libtorch_cpu.so"}};
  if (object == "libanneal_cuda.so") return {"torch", ANNEAL_TORCH_VERSION, {"lib/libtorch_cuda.so"}};
  if (object == "libanneal_arrow.so")
    return {"pyarrow", ANNEAL_PYARROW_VERSION, {ANNEAL_ARROW_LIBRARY, ANNEAL_PARQUET_LIBRARY}};
  return {};
}

fs::path require_package(const NeededPackage& package) {
  const auto install = "pip install " + package.name + "==" + package.version;
  const auto folder = find_python_package(package.name);
  if (!folder)
    fail(ExitCode::kResources, "the Python package " + package.name + " is not here", package.name,
         install + "; or name the Python that has it in " + std::string(kPythonVariable));
  const auto version = version_of_package(*folder);
  if (!version.empty() && version != package.version)
    fail(ExitCode::kResources,
         package.name + " " + version + " is here, and this program works with " + package.name + " " +
             package.version,
         folder->string(), install);
  return *folder;
}

void load_package_libraries(const std::string& object) {
  const auto package = package_needed_by(object);
  if (package.name.empty()) return;
  const auto folder = require_package(package);
  for (const auto& library : package.libraries)
    if (::dlopen((folder / library).c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
      fail(ExitCode::kResources, "cannot load a library of " + package.name + ": " + ::dlerror(),
           folder.string(), "pip install --force-reinstall " + package.name + "==" + package.version);
}

}  // namespace anneal
