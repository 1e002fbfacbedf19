// SIGTERM and SIGINT: a run that is asked to end finishes its step and saves.
#pragma once
#include <optional>
#include <string>

#include "base/error.h"

namespace anneal {

// From now on either signal ends the process at once, with 128 + its number. `text` says what is safe
// then, on standard error; "" says nothing. To be called once.
void leave_on_signals(const std::string& text);

// From now on the first signal is only remembered, and said if `speaks`; the second one ends the process at
// once.
void finish_on_signals(bool speaks);

// The exit code that a remembered signal asks for.
std::optional<ExitCode> requested_exit();

}  // namespace anneal
