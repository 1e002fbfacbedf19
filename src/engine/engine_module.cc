// The shared object's only symbol.
#include "engine/engine.h"

extern "C" __attribute__((visibility("default"))) int anneal_engine_run(const char* command, const char* request) {
  return anneal::run_engine_command(command, request);
}
