#include "engine/engine.h"

#include <cstdio>
#include <cstring>
#include <exception>

#include "base/console.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/options.h"
#include "device/tensor_memory.h"
#include "engine/convert_command.h"
#include "engine/doctor_command.h"
#include "engine/score_command.h"
#include "engine/test_command.h"
#include "engine/train_command.h"
#include "train/resources.h"

namespace anneal {
namespace {

template <class Request>
int run(const Json& request, int (*command)(Request&, const std::set<std::string>&)) {
  Request options;
  OptionTable(options).load(request.at("options"), "request");
  return command(options, request.at("given").get<std::set<std::string>>());
}

}  // namespace

int run_engine_command(const char* command, const char* request_text) {
  keep_freed_memory();
  try {
    const Json request = Json::parse(request_text);
    ConsoleOptions style;
    OptionTable(style).load(request.at("console"), "request");
    set_console_style(style);
    set_up_tensor_memory();
    if (std::strcmp(command, "train") == 0) return run(request, run_train);
    if (std::strcmp(command, "score") == 0) return run(request, run_score);
    if (std::strcmp(command, "convert") == 0) return run(request, run_convert);
    if (std::strcmp(command, "test") == 0) return run(request, run_test);
    if (std::strcmp(command, "doctor") == 0) return run(request, run_doctor);
    std::fprintf(stderr, "anneal: the engine has no command %s\n", command);
    return static_cast<int>(ExitCode::kInternal);
  } catch (const UserError& error) {
    print_error(command, error);
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) {
      const UserError out_of_memory(
          ExitCode::kResources,
          Problem{"out of memory", "",
                  "a smaller --micro_batch_tokens or --batch_size, or --gradient_checkpointing on"});
      print_error(command, out_of_memory);
      return static_cast<int>(out_of_memory.code());
    }
    print_internal_error(command, error.what());
    return static_cast<int>(ExitCode::kInternal);
  }
}

}  // namespace anneal
