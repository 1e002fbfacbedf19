#include "engine/trained_model.h"

#include <fmt/format.h>

#include <limits>

#include "checkpoint/peft_adapter.h"
#include "train/native_model.h"
#include "train/transformers_model.h"

namespace anneal {
namespace {

// Where the adapter's weights are taken from; empty for a fresh one.
std::filesystem::path adapter_folder(const TrainRequest& request, const RunStart& start) {
  if (start.state) return start.state_folder;
  return request.lora.init_adapter.value_or("");
}

// What an adapter is, its folder says; a flag that says more is a mistake.
void require_kind(const LoraShape& shape, const LoraOptions& lora, const std::filesystem::path& folder) {
  const auto require = [&](bool wanted, bool found, const char* flag) {
    if (wanted && !found)
      fail(ExitCode::kUsage, "the adapter in " + folder.string() + " is of another kind", flag,
           "leave the flag out, or start without --init_adapter");
  };
  require(lora.use_rslora, shape.use_rslora, "--use_rslora");
  require(lora.use_dora, shape.use_dora, "--use_dora");
}

void say_adapter(const LoraShape& shape, const std::filesystem::path& folder,
                 const std::vector<TargetHits>& hits, RunLog& log) {
  if (!folder.empty()) {
    log.say(fmt::format("adapter from {}: rank {}, alpha {}{}{}", folder.string(), shape.rank, shape.alpha,
                        shape.use_rslora ? ", rsLoRA" : "", shape.use_dora ? ", DoRA" : ""));
    return;
  }
  std::string text;
  for (const auto& [target, modules] : hits)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", target, modules);
  log.say("LoRA targets and the modules they hit: " + text);
}

void read_trained_weights(const std::vector<Parameter*>& parameters, const RunStart& start) {
  read_master_weights(trained_values(parameters), start.state_folder);
  for (auto* parameter : parameters) parameter->refresh_compute();
}

}  // namespace

ModelLimits limits_of(const ModelConfig& config) { return {config.vocab_size, config.rope.longest()}; }

ModelLimits read_model_limits(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const auto whole = read_json_file(path, ExitCode::kModel);
  const auto found = whole.find("text_config");  // of a model that also sees or hears
  const Json& config = found == whole.end() ? whole : *found;
  auto longest = std::numeric_limits<std::int64_t>::max();
  for (const char* key : {"max_position_embeddings", "n_positions", "max_seq_len", "seq_length"})
    if (config.contains(key)) {
      longest = required<std::int64_t>(config, key, path.string(), ExitCode::kModel);
      break;
    }
  const auto vocabulary = optional<std::int64_t>(
      config, "vocab_size", std::numeric_limits<std::int64_t>::max(), path.string(), ExitCode::kModel);
  return {vocabulary, longest};
}

std::optional<LoraShape> adapter_shape(const TrainRequest& request, const RunStart& start,
                                       const ModelConfig* config) {
  const auto& lora = request.lora;
  if (lora.full_ft) return std::nullopt;
  if (const auto folder = adapter_folder(request, start); !folder.empty()) {
    auto shape = read_peft_config(folder);
    require_kind(shape, lora, folder);
    shape.dropout = lora.lora_dropout;
    shape.allow_missing_targets = lora.allow_missing_targets;
    return shape;
  }
  return LoraShape{lora.lora_rank,
                   lora.lora_alpha,
                   lora.lora_dropout,
                   config ? resolved_targets(*config, lora.targets()) : lora.targets(),
                   lora.allow_missing_targets,
                   lora.use_rslora,
                   lora.use_dora};
}

std::unique_ptr<TrainableModel> set_up_native(CausalLm& model, const std::optional<LoraShape>& shape,
                                              const TrainRequest& request, const RunStart& start,
                                              ProcessGroup* group, RunLog& log) {
  const auto folder = adapter_folder(request, start);
  if (!shape) {
    model.train_all_weights();
  } else if (!folder.empty()) {
    load_peft_adapter(model, *shape, folder);
    say_adapter(*shape, folder, {}, log);
  } else {
    say_adapter(*shape, folder, add_lora(model, *shape, request.train.seed), log);
  }
  if (group) model.share(*group);
  if (folder.empty()) start_magnitudes(model);
  if (!shape && start.state) read_trained_weights(model.parameters(), start);
  return std::make_unique<NativeModel>(model);
}

std::unique_ptr<TrainableModel> set_up_transformers(c10::Device device, const std::optional<LoraShape>& shape,
                                                    const TrainRequest& request, const RunStart& start,
                                                    RunLog& log) {
  const auto folder = shape ? adapter_folder(request, start) : std::filesystem::path();
  auto model = std::make_unique<TransformersModel>(
      TransformersStart{request.model.folder(), resolve_precision(request.model, device), device, shape,
                        folder, static_cast<std::uint64_t>(request.train.seed)});
  log.say("notice: " + model->kernels() +
          " compute the steps, one sample at a time; the native engine is faster");
  if (shape) say_adapter(*shape, folder, model->hits(), log);
  if (!shape && start.state) read_trained_weights(model->parameters(), start);
  return model;
}

}  // namespace anneal
