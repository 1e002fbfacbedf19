// Commands that need torch. The program hands over a command's resolved options as one JSON object.
#pragma once

namespace anneal {

// request: {"options": {name: value}, "given": [names given by the user]}. Returns the exit code; throws
// nothing.
int run_engine_command(const char* command, const char* request);

}  // namespace anneal
