// Where a trained model lies: what `anneal test` and `anneal convert` take.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "checkpoint/checkpoint_options.h"

namespace anneal {

struct FoundCheckpoint {
  std::filesystem::path folder;
  bool is_adapter;  // a PEFT adapter; otherwise a whole model
};

// --checkpoint itself, or in checkpoints_dir: what the pointer `best` (or `latest`) names, else the complete
// checkpoint-<step> of the highest step, else the newest of Ray's layouts (spec: by global_step, then name).
// Skips incomplete ones and says so through `notice`. Throws UserError(kModel) that lists the places
// searched.
FoundCheckpoint find_checkpoint(const CheckpointOptions& options,
                                const std::function<void(const std::string&)>& notice);

}  // namespace anneal
