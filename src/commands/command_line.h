// The program's subcommands: parsing, help, and handing over to the engine.
#pragma once
#include <span>
#include <string>

namespace anneal {

// arguments: without the program's name. Returns the exit code; throws UserError.
int run_command_line(std::span<const std::string> arguments);

}  // namespace anneal
