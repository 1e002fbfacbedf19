#include "engine/memory_check.h"

#include "engine/train_world.h"
#include "models/causal_lm.h"
#include "plan/fit.h"

namespace anneal {
namespace {

void check(const std::string& what, std::int64_t needed, std::int64_t available, const std::string& remedy,
           bool is_forced, RunLog& log) {
  const auto fit = fit_of(needed, available);
  if (fit == Fit::kFits) return;
  const Problem problem{need_text(what, needed, available), "memory", remedy};
  if (fit == Fit::kDoesNotFit && !is_forced)
    throw UserError(ExitCode::kResources,
                    Problem{problem.problem, problem.where, remedy + "; --force starts all the same"});
  log.say("warning: " + problem.where + ": " + problem.problem + "\n  try: " + remedy);
}

}  // namespace

void require_memory_of_states(const TrainRequest& request, const ModelConfig& config, c10::Device device,
                              bool is_sharded, World& world, RunLog& log) {
  auto shape = shape_of(config);
  const auto& lora = request.lora;
  shape.trains_all = lora.full_ft;
  if (!lora.full_ft && !lora.init_adapter)
    add_adapters(shape, {lora.targets(), lora.lora_rank, lora.lora_dropout, lora.use_dora,
                         /*allows_missing=*/true});
  const auto precision = resolve_precision(request.model, device);
  const int ranks = world.group().size();
  const StepSetup setup{
      .compute_bytes = static_cast<std::int64_t>(c10::elementSize(precision.compute)),
      .base_bytes = base_bytes(config, request.model.base_dtype),
      .maps_weights = device.is_cpu() && request.model.base_dtype == "auto" && config.dtype != "float16",
      .ranks = ranks,
      .is_sharded = is_sharded};
  const auto memory = step_memory(shape, setup, {0, 0});
  // Mapped once for all ranks of a machine.
  const auto needed = memory.states() - memory.mapped + memory.mapped / world.ranks_on_this_machine();
  const auto free = device.is_cpu() ? available_memory_of_rank(world) : free_bytes(device);
  check("what is held of the model and its optimizer", needed, free,
        memory_advice(lora.full_ft, /*of_states=*/true, false, ranks), request.run.force, log);
}

void require_memory_of_step(const TrainRequest& request, const StepMemory& memory, std::int64_t free_bytes,
                            int ranks, RunLog& log) {
  // Weights, adapters and gradients are there by now; moments come with the first step.
  const auto needed =
      memory.optimizer + memory.activations + memory.at_work + memory.gathered + memory.logits;
  check("a step", needed, free_bytes,
        memory_advice(request.lora.full_ft, /*of_states=*/false, request.train.gradient_checkpointing == "on",
                      ranks),
        request.run.force, log);
}

}  // namespace anneal
