// Shapes: O out features, I in features, R rank.
#include "checkpoint/adapter_merge.h"

#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace anneal {
namespace {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kA = ".lora_A.weight";
constexpr const char* kB = ".lora_B.weight";
constexpr const char* kMagnitude = ".lora_magnitude_vector";
constexpr std::size_t kShownProblems = 8;
constexpr const char* kRemedy = "use the base model that the adapter was trained on";

// "" where the name is not that of a part of an update.
std::string module_of(const std::string& tensor) {
  const std::string prefix = kPrefix;
  for (const char* ending : {kA, kB, kMagnitude})
    if (tensor.starts_with(prefix) && tensor.ends_with(ending))
      return tensor.substr(prefix.size(), tensor.size() - prefix.size() - std::string(ending).size());
  return "";
}

[[noreturn]] void refuse(std::vector<Problem> problems) {
  if (problems.size() > kShownProblems) {
    const auto left = problems.size() - kShownProblems;
    problems.resize(kShownProblems);
    problems.push_back({fmt::format("and {} more like these", left), problems.back().where, kRemedy});
  }
  throw UserError(ExitCode::kModel, std::move(problems));
}

std::string text_of(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

AdapterMerge::AdapterMerge(const std::filesystem::path& adapter, const SafetensorsFolder& base)
    : config_(read_any_peft_config(adapter)), file_(adapter / "adapter_model.safetensors") {
  std::vector<Problem> problems;
  std::set<std::string> modules;
  for (const auto& [name, view] : file_.tensors()) {
    const auto module = module_of(name);
    const bool is_magnitude = name.ends_with(kMagnitude);
    if (module.empty() || !is_floating_point(view.dtype) || view.shape.size() != (is_magnitude ? 1 : 2) ||
        (is_magnitude && !config_.shape.use_dora))
      problems.push_back({"tensor '" + name + "' is not the low-rank update of a weight",
                          file_.path().string(), "use a plain LoRA adapter"});
    else if (modules.insert(module).second)
      require_fit(module, base, problems);
    if (view.bytes.size() > 0 && is_floating_point(view.dtype) &&
        !at::isfinite(tensor_of(view)).all().item<bool>())
      problems.push_back({"tensor '" + name + "' holds values that are not finite", file_.path().string(),
                          "use another checkpoint"});
  }
  if (modules.empty() && problems.empty())
    problems.push_back({"holds no tensors", file_.path().string(), "use a complete adapter"});
  if (problems.empty()) require_every_target(base, problems);
  if (!problems.empty()) refuse(std::move(problems));
}

void AdapterMerge::require_fit(const std::string& module, const SafetensorsFolder& base,
                               std::vector<Problem>& problems) {
  const auto where = file_.path().string();
  const auto *a = find(module, kA), *b = find(module, kB), *magnitude = find(module, kMagnitude);
  if (!a || !b || (!magnitude && config_.shape.use_dora)) {
    const auto missing = kPrefix + module + (!a ? kA : !b ? kB : kMagnitude);
    problems.push_back({"tensor '" + missing + "' is missing", where, "use a complete adapter"});
    return;
  }
  const auto name = module + ".weight";
  if (!base.contains(name)) {
    problems.push_back(
        {"the base model has no tensor '" + name + "', which the adapter changes", where, kRemedy});
    return;
  }
  const auto& weight = base.tensor(name);
  if (!is_floating_point(weight.dtype)) {
    problems.push_back({"tensor '" + name + "' is of dtype " + std::string(dtype_name(weight.dtype)),
                        base.file_of(name), "use unquantized weights"});
    return;
  }
  const auto &a_shape = a->shape, &b_shape = b->shape;
  auto wanted = weight.shape;
  if (config_.fan_in_fan_out) std::reverse(wanted.begin(), wanted.end());
  const auto rank = config_.shape.rank_of(module);
  if (a_shape.size() != 2 || b_shape.size() != 2 ||
      wanted != std::vector<std::int64_t>{b_shape[0], a_shape[1]} || a_shape[0] != rank ||
      b_shape[1] != rank) {
    problems.push_back(
        {fmt::format(
             "module '{}' has the shapes A {}, B {} at rank {}, which do not make up '{}' of the base, {}",
             module, text_of(a_shape), text_of(b_shape), rank, name, text_of(weight.shape)),
         where, kRemedy});
    return;
  }
  if (magnitude && magnitude->shape != std::vector<std::int64_t>{b_shape[0]}) {
    problems.push_back({fmt::format("module '{}' has {} magnitudes for {} rows", module,
                                    text_of(magnitude->shape), b_shape[0]),
                        where, kRemedy});
    return;
  }
  updates_.emplace(name, Update{*a, *b, config_.shape.scale_of(module),
                                magnitude ? std::optional(*magnitude) : std::nullopt});
}

const TensorView* AdapterMerge::find(const std::string& module, const char* ending) const {
  const auto found = file_.tensors().find(kPrefix + module + ending);
  return found == file_.tensors().end() ? nullptr : &found->second;
}

// A file that has lost layers would else be merged as if they had not been trained.
void AdapterMerge::require_every_target(const SafetensorsFolder& base, std::vector<Problem>& problems) const {
  const std::string ending = ".weight";
  const auto& targets = config_.shape.targets;
  // A list of names; one string alone is a regular expression, or all-linear.
  if (config_.narrows_targets || config_.targets_are_a_pattern) return;
  for (const auto& [name, view] : base.tensors()) {
    if (!name.ends_with(ending) || view.shape.size() != 2 || changes(name)) continue;
    const auto module = name.substr(0, name.size() - ending.size());
    if (std::any_of(targets.begin(), targets.end(),
                    [&](const auto& target) { return is_target(module, target); }))
      problems.push_back(
          {"adapter_config.json targets '" + module + "', but the adapter has no tensors for it",
           file_.path().string(), "use a complete adapter, and the base model that it was trained on"});
  }
}

std::int64_t AdapterMerge::largest_rank() const {
  std::int64_t largest = 0;
  for (const auto& [name, update] : updates_) largest = std::max(largest, update.a_RI.shape[0]);
  return largest;
}

at::Tensor AdapterMerge::merged(const std::string& tensor, const at::Tensor& weight) const {
  const auto& [a, b, scale, magnitude] = updates_.at(tensor);
  const WeightUpdate update{tensor_of(a), tensor_of(b), scale,
                            magnitude ? tensor_of(*magnitude).to(at::kFloat) : at::Tensor()};
  const auto module = tensor.substr(0, tensor.size() - std::string(".weight").size());
  return config_.fan_in_fan_out ? merged_weight(module, weight.t(), update).t()
                                : merged_weight(module, weight, update);
}

}  // namespace anneal
