// Whether a base model is the one that a run was trained on: another one of the same shapes would load, and
// give nonsense.
#pragma once
#include <filesystem>
#include <optional>

#include "base/error.h"

namespace anneal {

// `run`: the folder of run_config.json. Nothing too where the run does not say what it was trained on.
std::optional<Problem> wrong_base_problem(const std::filesystem::path& run,
                                          const std::filesystem::path& base);

}  // namespace anneal
