#include "engine/train_world.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/options.h"
#include "checkpoint/run_record.h"
#include "formats/safetensors.h"
#include "train/resources.h"

namespace anneal {
namespace {

constexpr double kBytesOfAStoredWeight = 2;

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

double stored_bytes(const std::filesystem::path& folder) {
  const SafetensorsFolder weights(folder);
  double bytes = 0;
  for (const auto& file : weights.files())
    bytes += static_cast<double>(std::filesystem::file_size(file->path()));
  return bytes;
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

bool decide_sharding(const TrainRequest& request, c10::Device device, World& world) {
  auto& group = world.group();
  if (group.size() == 1 || request.train.sharding == "none") return false;
  if (request.train.sharding == "full") return true;
  const auto stored = stored_bytes(request.model.folder());
  const auto trained = stored / kBytesOfAStoredWeight * kBytesOfATrainedWeight;
  // A GPU is one rank's. The ranks of a machine share its memory, and there frozen weights are mapped from
  // the files: once for all of them.
  const auto wanted = !request.lora.full_ft ? stored
                      : device.is_cpu()     ? trained * world.ranks_on_this_machine()
                                            : trained;
  return group.any(wanted > kUsableShare * static_cast<double>(free_bytes(device)));
}

void require_agreement(const std::string& text, const std::string& what, ProcessGroup& group) {
  const auto all = group.all_gather_text(text);
  for (std::size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      fail(ExitCode::kDistributed, fmt::format("rank {} has other {} than rank 0", rank, what),
           fmt::format("{} and {}", all[rank], all[0]), "give all machines the same " + what);
}

}  // namespace anneal
