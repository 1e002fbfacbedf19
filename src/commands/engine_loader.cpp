#include "commands/engine_loader.h"

#include <dlfcn.h>

#include <filesystem>

#include "base/error.h"

namespace anneal {

int run_in_engine(const std::string& command, const std::string& request) {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libanneal_engine.so";
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr)
    fail(ExitCode::kInternal, std::string("cannot load the engine: ") + ::dlerror(), path.string(),
         "build again with `make build`");
  using Run = int (*)(const char*, const char*);
  const auto run = reinterpret_cast<Run>(::dlsym(module, "anneal_engine_run"));
  if (run == nullptr)
    fail(ExitCode::kInternal, "the engine has no entry", path.string(), "build again with `make build`");
  return run(command.c_str(), request.c_str());
}

}  // namespace anneal
