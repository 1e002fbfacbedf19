#include "commands/engine_loader.h"

#include "base/byte_size.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/shared_object.h"

namespace anneal {
namespace {

// torch's libraries take 0.45 GB of addresses, and end the process where they are refused.
void require_address_space() {
  constexpr std::int64_t kNeeded = 600 << 20;
  if (const auto left = address_space_left(); left && *left < kNeeded)
    fail(ExitCode::kResources,
         "not enough memory: the limit of the address space leaves " + byte_size_text(*left), "ulimit -v",
         "`ulimit -v unlimited`; below " + byte_size_text(kNeeded) + " nothing can run");
}

}  // namespace

int run_in_engine(const std::string& command, const std::string& request) {
  require_address_space();
  using Run = int (*)(const char*, const char*);
  const auto run =
      reinterpret_cast<Run>(load_entry("the engine", "libanneal_engine.so", "anneal_engine_run"));
  return run(command.c_str(), request.c_str());
}

}  // namespace anneal
