#include "engine/meet_ranks.h"

#include <dlfcn.h>

#include "base/file.h"
#include "checkpoint/run_record.h"

namespace anneal {
namespace {

std::string program_id() {
  Dl_info info{};
  ::dladdr(reinterpret_cast<void*>(&program_id), &info);
  return sha256_hex_of_file(info.dli_fname, ExitCode::kInternal).substr(0, 12);
}

}  // namespace

std::unique_ptr<World> meet_ranks(const DistOptions& options, const std::filesystem::path& model_folder,
                                  Json flags) {
  const auto environment = rank_environment();
  if (!environment) return std::make_unique<World>();
  for (const char* key : {"num_workers", "num_nodes", "node_rank", "events_fd"}) flags.erase(key);
  const auto model = identify_base_model(model_folder);
  return std::make_unique<World>(
      *environment, options,
      std::vector<std::pair<std::string, std::string>>{
          {"program", program_id()},
          {"model",
           sha256_hex(model.config_sha256 + model.tokenizer_sha256 + model.weights_sha256).substr(0, 12)},
          {"flags", sha256_hex(flags.dump()).substr(0, 12)}});
}

}  // namespace anneal
