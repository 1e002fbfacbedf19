#include "checkpoint/run_record.h"

#include <algorithm>

#include "base/file.h"
#include "formats/safetensors.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSamples = 64;  // of each file of weights
constexpr std::size_t kSampleBytes = 4096;

// Reading all of a large model would take minutes; training moves every tensor, so a sample tells models
// apart.
std::string weights_sample(const fs::path& folder) {
  const SafetensorsFolder weights(folder);
  std::string text;
  for (const auto& file : weights.files()) {
    const MappedFile mapped(file->path(), ExitCode::kModel);
    const auto bytes = mapped.text();
    text += file->path().filename().string() + " " + std::to_string(bytes.size()) + "\n";
    for (std::size_t sample = 0; sample < kSamples; ++sample)
      text += bytes.substr(bytes.size() / kSamples * sample, kSampleBytes);
  }
  return text;
}

}  // namespace

BaseModelId identify_base_model(const fs::path& folder) {
  return {sha256_hex_of_file(folder / "config.json", ExitCode::kModel),
          sha256_hex_of_file(folder / "tokenizer.json", ExitCode::kModel),
          sha256_hex(weights_sample(folder))};
}

std::string run_record_text(const RunRecord& record) {
  const Json json = {{"version", 1},
                     {"run_id", record.run_id},
                     {"resumed_from", record.resumed_from},
                     {"launch_id", record.launch_id},
                     {"base_config_sha256", record.base.config_sha256},
                     {"base_tokenizer_sha256", record.base.tokenizer_sha256},
                     {"base_weights_sha256", record.base.weights_sha256},
                     {"options", record.options},
                     {"data", {{"folder", record.data_folder}, {"sha256", record.data_sha256}}},
                     {"plan",
                      {{"micro_batch_tokens", record.plan.micro_batch_tokens},
                       {"kept_layers", record.plan.kept_layers},
                       {"threads", record.plan.threads},
                       {"ranks", record.plan.ranks},
                       {"sharding", record.plan.sharding},
                       {"kernels", record.plan.kernels}}}};
  return json.dump(2) + "\n";
}

RunRecord read_run_record(const fs::path& folder) {
  const auto path = folder / kRunRecord;
  return parse_run_record(read_file(path, ExitCode::kModel), path.string());
}

RunRecord parse_run_record(const std::string& record_text, const std::string& where) {
  const Json json = parse_json(record_text, where, ExitCode::kModel);
  if (!json.is_object()) fail(ExitCode::kModel, "is not a JSON object", where, "use another run's folder");
  const auto text = [&](const Json& object, const char* key) {
    return required<std::string>(object, key, where, ExitCode::kModel);
  };
  const auto number = [&](const Json& object, const char* key) {
    return required<std::int64_t>(object, key, where, ExitCode::kModel);
  };
  const auto options = required<Json>(json, "options", where, ExitCode::kModel);
  const auto data = required<Json>(json, "data", where, ExitCode::kModel);
  const auto plan = required<Json>(json, "plan", where, ExitCode::kModel);
  return {text(json, "run_id"),
          text(json, "resumed_from"),
          {text(json, "base_config_sha256"), text(json, "base_tokenizer_sha256"),
           text(json, "base_weights_sha256")},
          options,
          text(data, "folder"),
          text(data, "sha256"),
          {number(plan, "micro_batch_tokens"), number(plan, "kept_layers"), number(plan, "threads"),
           number(plan, "ranks"), text(plan, "kernels"), text(plan, "sharding")},
          json.contains("launch_id") ? text(json, "launch_id") : ""};
}

bool is_of_launch(const fs::path& folder, const std::string& launch_id) {
  if (launch_id.empty() || !fs::exists(folder / kRunRecord)) return false;
  try {
    return read_run_record(folder).launch_id == launch_id;
  } catch (const UserError&) {
    return false;
  }
}

}  // namespace anneal
