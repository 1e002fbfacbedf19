// run_config.json: what a run is made of. It lies in the run's folder and in every saved state.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/json.h"

namespace anneal {

// Which model a run trains: another one of the same shapes would load, and give nonsense.
struct BaseModelId {
  std::string config_sha256, tokenizer_sha256;
  std::string weights_sha256;  // of names, sizes and a sample of the bytes
  bool operator==(const BaseModelId&) const = default;
};

BaseModelId identify_base_model(const std::filesystem::path& folder);

// Resolved once and kept for as long as the run lasts: where all are the same, so are the bits.
struct ExecutionPlan {
  std::int64_t micro_batch_tokens = 0, kept_layers = 0, threads = 0, ranks = 1;
  std::string kernels, sharding = "none";
  bool operator==(const ExecutionPlan&) const = default;
};

struct RunRecord {
  std::string run_id;
  std::string resumed_from;  // "<run id> step <step>" where --resume named the state that the run begins with
  BaseModelId base;
  Json options = Json::object();  // all, resolved
  std::string data_folder, data_sha256;
  ExecutionPlan plan;
  std::string launch_id;  // see kLaunchId; empty where no launcher gave one
};

// The text of run_config.json.
std::string run_record_text(const RunRecord& record);
// Throws UserError(kModel) naming `where`.
RunRecord parse_run_record(const std::string& text, const std::string& where);
// Throws UserError(kModel) where the folder has none, or one that cannot be read.
RunRecord read_run_record(const std::filesystem::path& folder);
// Whether this launch has worked at the folder's run before, and goes on with it now.
bool is_of_launch(const std::filesystem::path& folder, const std::string& launch_id);

constexpr const char* kRunRecord = "run_config.json";

}  // namespace anneal
