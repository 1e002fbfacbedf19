// Exit codes, and the only catch of foreign exceptions outside of the engine.
#include <exception>
#include <string>
#include <vector>

#include "base/console.h"
#include "base/error.h"
#include "commands/command_line.h"

int main(int count, char** values) {
  try {
    return anneal::run_command_line(std::vector<std::string>(values + 1, values + count));
  } catch (const anneal::UserError& error) {
    anneal::print_error("", error);
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    anneal::print_internal_error("", error.what());
    return static_cast<int>(anneal::ExitCode::kInternal);
  }
}
