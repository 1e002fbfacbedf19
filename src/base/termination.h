// SIGTERM and SIGINT: a run that is asked to end finishes its step and saves.
#pragma once
#include <optional>

#include "base/error.h"

namespace anneal {

// From now on either signal ends the process at once, with 128 + its number.
void leave_on_signals();

// From now on the first signal is only remembered, and the second one ends the process at once.
void finish_on_signals();

// The exit code that a remembered signal asks for.
std::optional<ExitCode> requested_exit();

}  // namespace anneal
