#include "engine/train_world.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/options.h"
#include "checkpoint/run_record.h"
#include "plan/step_plan.h"

namespace anneal {
namespace {

std::string program_id() {
  Dl_info info{};
  ::dladdr(reinterpret_cast<void*>(&program_id), &info);
  return sha256_hex_of_file(info.dli_fname, ExitCode::kInternal).substr(0, 12);
}

std::string flags_id(TrainRequest request) {
  Json options = OptionTable(request).to_json();
  for (const char* key : {"num_workers", "num_nodes", "node_rank", "events_fd"}) options.erase(key);
  return sha256_hex(options.dump()).substr(0, 12);
}

}  // namespace

std::unique_ptr<World> meet_other_ranks(const TrainRequest& request) {
  const auto environment = rank_environment();
  if (!environment) return std::make_unique<World>();
  const auto model = identify_base_model(request.model.folder());
  return std::make_unique<World>(
      *environment, request.dist,
      std::vector<std::pair<std::string, std::string>>{
          {"program", program_id()},
          {"model",
           sha256_hex(model.config_sha256 + model.tokenizer_sha256 + model.weights_sha256).substr(0, 12)},
          {"flags", flags_id(request)}});
}

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
