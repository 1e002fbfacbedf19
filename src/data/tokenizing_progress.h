// What is seen of load_examples() while it works.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include "base/progress.h"

namespace anneal {

// For ExampleSetOptions::progress. `console` outlives it.
inline std::function<void(std::int64_t, std::int64_t)> tokenizing_progress(
    Console& console, const std::filesystem::path& file) {
  // Made at once: its clock starts.
  const auto shown = std::make_shared<Progress>(console, "tokenizing " + file.filename().string(), "rows");
  return [shown](std::int64_t done, std::int64_t total) { shown->at(done, total); };
}

}  // namespace anneal
