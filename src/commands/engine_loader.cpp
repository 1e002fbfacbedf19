#include "commands/engine_loader.h"

#include "base/shared_object.h"

namespace anneal {

int run_in_engine(const std::string& command, const std::string& request) {
  using Run = int (*)(const char*, const char*);
  const auto run =
      reinterpret_cast<Run>(load_entry("the engine", "libanneal_engine.so", "anneal_engine_run"));
  return run(command.c_str(), request.c_str());
}

}  // namespace anneal
