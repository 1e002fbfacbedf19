// How a step is cut to fit into memory: micro-batches, and the layers that keep their activations.
#pragma once
#include <optional>
#include <string>

#include "plan/step_memory.h"

namespace anneal {

// Of the free memory; the rest is for holes in it and the page cache. Weights that just need no sharding, and
// the activations that then fit, stay within 90 % of a device.
inline constexpr double kUsableShare = 0.65;

struct StepPlan {
  std::int64_t micro_batch_tokens;  // a longer sample is a micro-batch of its own
  std::int64_t kept_layers;         // the topmost layers that keep their activations; the others recompute
};

// Fills in what is left to `auto`: a micro-batch of what fits into the usable free memory without recompute,
// but at least the longest sample; then as many layers that keep their activations as fit.
struct PlanRequest {
  std::optional<std::int64_t> micro_batch_tokens;
  std::string gradient_checkpointing;  // auto, on, off
  std::int64_t largest_pool_tokens;    // of any step
  std::int64_t longest_sample;
};
StepPlan make_plan(const ModelShape& shape, const StepSetup& setup, const PlanRequest& request,
                   std::int64_t free_bytes);

// The busiest micro-batch of a plan.
MicroBatch busiest(const StepPlan& plan, const PlanRequest& request);

// Whether each rank has to hold a part alone, because all of the weights (and with --full_ft what the
// optimizer holds) do not fit. Of a GPU each rank has its own; `ranks_beside` share the memory of a
// processor, where frozen weights are mapped from the files once for all of them.
bool needs_sharding(const ModelShape& shape, std::int64_t base_bytes, int ranks_beside,
                    std::int64_t free_bytes);

}  // namespace anneal
