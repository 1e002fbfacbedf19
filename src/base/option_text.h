// An option table for people: --help and the reference.
#pragma once
#include <string>

#include "base/options.h"

namespace anneal {

// "auto|on|off", "" where any value goes
std::string choices_text(const Option& option);

// A line or two an option, with the default; under their headings.
std::string help_text(const OptionTable& table);

// "| `--name` | type | default | help |" an option
std::string markdown_rows(const OptionTable& table);

// " RUN..." where a command takes words that are no flags
std::string positional_text(const OptionTable& table);

}  // namespace anneal
