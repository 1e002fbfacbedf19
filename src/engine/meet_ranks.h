// The processes that do one command together.
#pragma once
#include <memory>

#include "base/options.h"
#include "dist/world.h"

namespace anneal {

// Meets the other ranks, where the environment says that there are any. All must have the same program, the
// same model in `model_folder` and, but for the place of each, the same flags.
std::unique_ptr<World> meet_ranks(const DistOptions& options, const std::filesystem::path& model_folder,
                                  Json flags);

template <class Request>
std::unique_ptr<World> meet_other_ranks(Request request, const std::filesystem::path& model_folder) {
  return meet_ranks(request.dist, model_folder, OptionTable(request).to_json());
}

}  // namespace anneal
