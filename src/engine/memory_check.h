// Stops a training whose memory is not there, by the figures that `anneal plan` gives.
#pragma once
#include <c10/core/Device.h>

#include "dist/world.h"
#include "engine/train_request.h"
#include "plan/step_plan.h"
#include "train/run_log.h"

namespace anneal {

// Before anything is loaded: weights, gradients and optimizer of each rank. Throws UserError(kResources)
// where they are above 120 % of the memory, unless --force; warns above 90 %.
void require_memory_of_states(const TrainRequest& request, const ModelConfig& config, c10::Device device,
                              bool is_sharded, World& world, RunLog& log);

// Once the samples are known: what a step takes besides.
void require_memory_of_step(const TrainRequest& request, const StepMemory& memory, std::int64_t free_bytes,
                            int ranks, RunLog& log);

}  // namespace anneal
