#include "engine/train_world.h"

#include <fmt/format.h>

#include "base/memory.h"
#include "plan/step_plan.h"

namespace anneal {
std::int64_t available_memory_of_rank(const World& world) {
  return available_memory_bytes() / world.ranks_on_this_machine();
}

bool decide_sharding(const TrainRequest& request, const ModelConfig& config, c10::Device device,
                     World& world) {
  auto& group = world.group();
  if (group.size() == 1 || request.train.sharding == "none") return false;
  if (request.train.sharding == "full") return true;
  auto shape = shape_of(config);
  shape.trains_all = request.lora.full_ft;
  return group.any(needs_sharding(shape, base_bytes(config, request.model.base_dtype),
                                  device.is_cpu() ? world.ranks_on_this_machine() : 1, free_bytes(device)));
}

void require_agreement(const std::string& text, const std::string& what, ProcessGroup& group) {
  const auto all = group.all_gather_text(text);
  for (std::size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      fail(ExitCode::kDistributed, fmt::format("rank {} has other {} than rank 0", rank, what),
           fmt::format("{} and {}", all[rank], all[0]), "give all machines the same " + what);
}

}  // namespace anneal
