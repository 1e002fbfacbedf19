#include "checkpoint/peft_adapter.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "checkpoint/tensor_file.h"

namespace anneal {
namespace {

Json target_modules(const LoraShape& shape) {
  if (shape.targets == std::vector<std::string>{"all-linear"}) return "all-linear";
  auto sorted = shape.targets;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

// Keys that change what an adapter computes, and the only value of them that is supported.
void require_supported(const Json& config, const std::string& where) {
  const auto is_off = [](const Json& value) {
    return value.is_null() || value == false || value == "none" || value.empty();
  };
  for (const char* key :
       {"use_dora", "use_rslora", "lora_bias", "bias", "modules_to_save", "target_parameters",
        "layer_replication", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "layers_to_transform",
        "exclude_modules", "trainable_token_indices"}) {
    const auto found = config.find(key);
    if (found == config.end() || is_off(*found)) continue;
    fail(ExitCode::kModel, std::string("\"") + key + "\": " + found->dump() + " is not supported", where,
         "use a plain LoRA adapter");
  }
}

}  // namespace

void write_peft_adapter(const CausalLm& model, const LoraShape& shape, const std::string& base_model,
                        const std::filesystem::path& folder) {
  std::vector<NamedTensor> tensors;
  for (const auto* parameter : model.parameters())
    tensors.push_back(checked_view(parameter->name, parameter->value));
  write_safetensors(folder / "adapter_model.safetensors", tensors);

  const bool whole_alpha = shape.alpha == std::floor(shape.alpha) && std::abs(shape.alpha) < 1e15;
  const Json config = {
      {"alpha_pattern", Json::object()},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", base_model},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layer_replication", nullptr},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"loftq_config", Json::object()},
      {"lora_alpha", whole_alpha ? Json(static_cast<std::int64_t>(shape.alpha)) : Json(shape.alpha)},
      {"lora_dropout", shape.dropout},
      {"megatron_config", nullptr},
      {"megatron_core", "megatron.core"},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", shape.rank},
      {"rank_pattern", Json::object()},
      {"revision", nullptr},
      {"target_modules", target_modules(shape)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", false},
  };
  write_file_atomically(folder / "adapter_config.json", config.dump(2) + "\n");
}

LoraShape read_peft_config(const std::filesystem::path& folder) {
  const auto path = folder / "adapter_config.json";
  const auto where = path.string();
  const Json config = read_json_file(path, ExitCode::kModel);
  if (!config.is_object()) fail(ExitCode::kModel, "is not a JSON object", where, "use a PEFT adapter folder");
  const auto type = optional<std::string>(config, "peft_type", "LORA", where, ExitCode::kModel);
  if (type != "LORA")
    fail(ExitCode::kModel, "peft_type \"" + type + "\" is not supported", where, "use a LoRA adapter");
  require_supported(config, where);
  LoraShape shape{};
  shape.rank = optional<std::int64_t>(config, "r", 8, where, ExitCode::kModel);
  shape.alpha = optional<double>(config, "lora_alpha", 8, where, ExitCode::kModel);
  shape.dropout = optional<double>(config, "lora_dropout", 0, where, ExitCode::kModel);
  if (shape.rank < 1)
    fail(ExitCode::kModel, "\"r\" is " + std::to_string(shape.rank), where, "use a PEFT adapter folder");
  const auto& targets = config.value("target_modules", Json());
  shape.targets = targets.is_string()
                      ? std::vector<std::string>{targets.get<std::string>()}
                      : required<std::vector<std::string>>(config, "target_modules", where, ExitCode::kModel);
  return shape;
}

void load_peft_adapter(CausalLm& model, const LoraShape& shape, const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / "adapter_model.safetensors");
  add_lora(model, shape, /*seed=*/0);
  const auto where = file.path().string();
  std::size_t used = 0;
  for (auto* parameter : model.parameters()) {
    const auto found = file.tensors().find(parameter->name);
    if (found == file.tensors().end())
      fail(ExitCode::kModel, "tensor '" + parameter->name + "' is missing", where,
           "use the adapter's own base model");
    const auto tensor = tensor_of(found->second);
    if (!tensor.sizes().equals(parameter->value.sizes()))
      fail(ExitCode::kModel, "tensor '" + parameter->name + "' has another shape than the base model wants",
           where, "use the adapter's own base model");
    parameter->value.copy_(tensor);
    if (!at::isfinite(parameter->value).all().item<bool>())
      fail(ExitCode::kModel, "tensor '" + parameter->name + "' holds values that are not finite", where,
           "use another state of the adapter");
    parameter->refresh_compute();
    ++used;
  }
  if (used != file.tensors().size())
    fail(ExitCode::kModel,
         "holds " + std::to_string(file.tensors().size() - used) +
             " tensors that belong to no targeted module of this model",
         where, "use the adapter's own base model");
}

}  // namespace anneal
