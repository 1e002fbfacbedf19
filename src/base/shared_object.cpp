#include "base/shared_object.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/package_libraries.h"
#include "base/program_folder.h"

namespace anneal {

void* load_entry(const std::string& part, const std::string& name, const char* entry) {
  const auto path = program_folder() / name;
  load_package_libraries(name);
  void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr)
    fail(ExitCode::kInternal, "cannot load " + part + ": " + ::dlerror(), path.string(),
         "build again with `make build`");
  void* found = ::dlsym(object, entry);
  if (found == nullptr)
    fail(ExitCode::kInternal, part + " has no entry " + entry, path.string(),
         "build again with `make build`");
  return found;
}

}  // namespace anneal
