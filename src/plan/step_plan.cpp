#include "plan/step_plan.h"

#include <algorithm>

namespace anneal {
namespace {

constexpr std::int64_t kPreferredTokens = 8192;  // GEMMs gain nothing from more rows

std::int64_t usable(std::int64_t bytes) {
  return static_cast<std::int64_t>(static_cast<double>(bytes) * kUsableShare);
}

}  // namespace

StepPlan make_plan(const ModelShape& shape, const StepSetup& setup, const PlanRequest& request,
                   std::int64_t free_bytes) {
  const auto num_layers = shape.config.num_hidden_layers;
  const auto kept = kept_bytes_per_token(shape, setup.compute_bytes),
             recomputed = recomputed_bytes_per_token(shape, setup.compute_bytes);
  const auto apart = step_memory(shape, setup, {0, 0});
  const auto room = usable(std::max<std::int64_t>(0, free_bytes - apart.gathered - apart.at_work));
  // What the busiest layer needs besides is for one layer at a time.
  const auto work =
      (step_memory(shape, setup, {kPreferredTokens, num_layers}).at_work - apart.at_work) / kPreferredTokens;
  const auto fitting = room / std::max<std::int64_t>(1, kept * num_layers + work);
  StepPlan plan{};
  plan.micro_batch_tokens = request.micro_batch_tokens.value_or(
      std::max(request.longest_sample, std::min({kPreferredTokens, fitting, request.largest_pool_tokens})));
  if (request.gradient_checkpointing == "on") return plan;
  plan.kept_layers = num_layers;
  if (request.gradient_checkpointing == "off") return plan;
  const auto tokens = busiest(plan, request).tokens;
  // One layer at a time holds its activations while it recomputes.
  const auto left = room - tokens * (recomputed * num_layers + kept + work);
  plan.kept_layers =
      std::clamp<std::int64_t>(left / std::max<std::int64_t>(1, tokens * (kept - recomputed)), 0, num_layers);
  return plan;
}

MicroBatch busiest(const StepPlan& plan, const PlanRequest& request) {
  return {std::min(std::max(plan.micro_batch_tokens, request.longest_sample), request.largest_pool_tokens),
          plan.kept_layers};
}

bool needs_sharding(const ModelShape& shape, std::int64_t base_bytes, int ranks_beside,
                    std::int64_t free_bytes) {
  const auto wanted = shape.trains_all ? shape.base_parameters() * kBytesOfATrainedWeight * ranks_beside
                                       : shape.base_parameters() * base_bytes;
  return wanted > usable(free_bytes);
}

}  // namespace anneal
