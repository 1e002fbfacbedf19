#include "checkpoint/peft_adapter.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <regex>

#include "base/json.h"

namespace anneal {
namespace {

// As PEFT declares it: an integer where it is one.
OrderedJson json_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

OrderedJson target_modules(const LoraShape& shape) {
  if (shape.targets == std::vector<std::string>{"all-linear"}) return "all-linear";
  auto sorted = shape.targets;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

OrderedJson json_of(const ModulePatterns& patterns) {
  OrderedJson object = OrderedJson::object();
  for (const auto& [pattern, value] : patterns) object[pattern] = json_number(value);
  return object;
}

bool is_off(const OrderedJson& config, const char* key) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() || *found == false || *found == "none" || found->empty();
}

// Keys that change what an adapter computes, and that are not supported.
void require_off(const OrderedJson& config, std::initializer_list<const char*> keys,
                 const std::string& where) {
  for (const char* key : keys)
    if (!is_off(config, key))
      fail(ExitCode::kModel, std::string("\"") + key + "\": " + config[key].dump() + " is not supported",
           where, "use a plain LoRA adapter");
}

// Some ways to start an adapter take something off the base weights, and PEFT does so again where it loads
// one.
void require_unchanged_base(const Json& config, const std::string& where) {
  const auto start = config.value("init_lora_weights", Json());
  if (!start.is_string()) return;
  for (const char* name : {"pissa", "olora", "corda", "loftq", "lora_ga"})
    if (start.get<std::string>().starts_with(name))
      fail(ExitCode::kModel, "\"init_lora_weights\": " + start.dump() + " is not supported", where,
           "have PEFT save it as a plain LoRA adapter (path_initial_model_for_weight_conversion)");
}

// In the order of the file: the first pattern that matches counts.
ModulePatterns patterns_of(const OrderedJson& config, const char* key, bool whole, const std::string& where) {
  ModulePatterns patterns;
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return patterns;
  const auto refuse = [&](const std::string& problem) {
    fail(ExitCode::kModel, std::string("\"") + key + "\": " + problem, where, "use a PEFT adapter folder");
  };
  if (!found->is_object()) refuse("is not an object");
  for (const auto& [pattern, value] : found->items()) {
    if (!(whole ? value.is_number_integer() : value.is_number()) || value.get<double>() <= 0)
      refuse("has no positive number for \"" + pattern + "\"");
    try {
      const std::regex checked(pattern);
    } catch (const std::regex_error&) {
      refuse("\"" + pattern + "\" is not a regular expression");
    }
    patterns.emplace_back(pattern, value.get<double>());
  }
  return patterns;
}

std::vector<std::string> targets_of(const Json& config, const std::string& where) {
  const auto& targets = config.value("target_modules", Json());
  if (targets.is_null()) return {};
  if (targets.is_string()) return {targets.get<std::string>()};
  return required<std::vector<std::string>>(config, "target_modules", where, ExitCode::kModel);
}

// PEFT makes one adapter of the gate and up of an expert, of twice the rank, and takes neither dropout nor
// rsLoRA there. What is written scales the same.
LoraShape as_peft_reads_it(LoraShape shape, const std::vector<NamedValue>& adapter) {
  if (std::none_of(adapter.begin(), adapter.end(),
                   [](const auto& value) { return value.name.find(".experts.") != std::string::npos; }))
    return shape;
  shape.dropout = 0;
  if (shape.use_rslora) shape.alpha *= std::sqrt(static_cast<double>(shape.rank));
  shape.use_rslora = false;
  return shape;
}

}  // namespace

void write_peft_adapter(const std::vector<NamedValue>& adapter, const LoraShape& shape,
                        const std::string& base_model, const std::filesystem::path& folder,
                        const std::string& base_revision) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, value, part] : adapter) tensors.push_back(checked_view(name, value));
  const auto weights = folder / "adapter_model.safetensors";
  write_safetensors(weights, tensors);
  require_on_disk(weights, tensors);

  const auto said = as_peft_reads_it(shape, adapter);
  const OrderedJson config = {
      {"alpha_pattern", json_of(shape.alpha_pattern)},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", base_model},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layer_replication", nullptr},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"loftq_config", OrderedJson::object()},
      {"lora_alpha", json_number(said.alpha)},
      {"lora_dropout", said.dropout},
      {"megatron_config", nullptr},
      {"megatron_core", "megatron.core"},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", shape.rank},
      {"rank_pattern", json_of(shape.rank_pattern)},
      {"revision", base_revision.empty() ? OrderedJson() : OrderedJson(base_revision)},
      {"target_modules", target_modules(shape)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", shape.use_dora},
      {"use_rslora", said.use_rslora},
  };
  write_file_atomically(folder / "adapter_config.json", config.dump(2) + "\n");
}

PeftConfig read_any_peft_config(const std::filesystem::path& folder) {
  const auto path = folder / "adapter_config.json";
  const auto where = path.string();
  const auto ordered = parse_ordered_json(read_file(path, ExitCode::kModel), where, ExitCode::kModel);
  if (!ordered.is_object())
    fail(ExitCode::kModel, "is not a JSON object", where, "use a PEFT adapter folder");
  const Json config = ordered;
  const auto type = optional<std::string>(config, "peft_type", "LORA", where, ExitCode::kModel);
  if (type != "LORA")
    fail(ExitCode::kModel, "peft_type \"" + type + "\" is not supported", where, "use a LoRA adapter");
  require_off(ordered,
              {"lora_bias", "bias", "modules_to_save", "target_parameters", "layer_replication",
               "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "use_bdlora",
               "use_qalora", "kasa_config"},
              where);
  require_unchanged_base(config, where);
  PeftConfig made;
  made.base_model = optional<std::string>(config, "base_model_name_or_path", "", where, ExitCode::kModel);
  made.fan_in_fan_out = optional<bool>(config, "fan_in_fan_out", false, where, ExitCode::kModel);
  made.narrows_targets = !is_off(ordered, "layers_to_transform") || !is_off(ordered, "exclude_modules");
  made.shape.rank = optional<std::int64_t>(config, "r", 8, where, ExitCode::kModel);
  made.shape.alpha = optional<double>(config, "lora_alpha", 8, where, ExitCode::kModel);
  made.shape.dropout = optional<double>(config, "lora_dropout", 0, where, ExitCode::kModel);
  if (made.shape.rank < 1)
    fail(ExitCode::kModel, "\"r\" is " + std::to_string(made.shape.rank), where, "use a PEFT adapter folder");
  made.shape.targets = targets_of(config, where);
  made.targets_are_a_pattern = config.value("target_modules", Json()).is_string();
  made.shape.use_rslora = optional<bool>(config, "use_rslora", false, where, ExitCode::kModel);
  made.shape.use_dora = optional<bool>(config, "use_dora", false, where, ExitCode::kModel);
  made.shape.rank_pattern = patterns_of(ordered, "rank_pattern", /*whole=*/true, where);
  made.shape.alpha_pattern = patterns_of(ordered, "alpha_pattern", /*whole=*/false, where);
  return made;
}

LoraShape read_peft_config(const std::filesystem::path& folder) {
  auto config = read_any_peft_config(folder);
  const auto where = (folder / "adapter_config.json").string();
  const auto refuse = [&](const char* problem) {
    fail(ExitCode::kModel, problem, where,
         "merge the adapter with `anneal convert`, and use the merged model");
  };
  // PEFT has adapters of Conv1D layers so; no model of ours has such layers.
  if (config.fan_in_fan_out) refuse("\"fan_in_fan_out\": true is not supported");
  if (config.narrows_targets) refuse("\"layers_to_transform\" or \"exclude_modules\" is not supported");
  // What PEFT takes for these families where no targets are named.
  if (config.shape.targets.empty()) config.shape.targets = {"q_proj", "v_proj"};
  return config.shape;
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
