#include "architecture/lora_targets.h"

#include <algorithm>

namespace anneal {
namespace {

std::vector<std::string> names_in_model(const ModelConfig& config, const std::string& target) {
  if (config.experts && target == "all-linear")
    return {"q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            config.experts->gate,
            config.experts->up,
            config.experts->down};
  const auto leaf = target.rfind('.') + 1;  // 0 where there is no dot
  const auto name = target.substr(leaf);
  if (config.is_fused && (name == "q_proj" || name == "k_proj" || name == "v_proj"))
    return {target.substr(0, leaf) + "qkv_proj"};
  if (config.is_fused && (name == "gate_proj" || name == "up_proj"))
    return {target.substr(0, leaf) + "gate_up_proj"};
  return {target};
}

void require_whole_experts(const ExpertsConfig& experts, const std::vector<std::string>& targets) {
  const auto names = [&](const std::string& part) {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const auto& target) { return target == part || target.ends_with("." + part); });
  };
  if (names(experts.gate) != names(experts.up))
    fail(ExitCode::kUsage,
         "\"" + experts.gate + "\" and \"" + experts.up + "\" of an expert are one adapter in PEFT",
         "--lora_target_modules", "name both of them or neither");
}

}  // namespace

bool is_target(const std::string& module, const std::string& target) {
  if (target == "all-linear" || module == target) return true;
  return module.size() > target.size() && module.ends_with(target) &&
         module[module.size() - target.size() - 1] == '.';
}

std::string endings_text(const std::vector<std::string>& modules) {
  std::vector<std::string> endings;
  for (const auto& module : modules) {
    const auto ending = module.substr(module.rfind('.') + 1);
    if (std::find(endings.begin(), endings.end(), ending) == endings.end()) endings.push_back(ending);
  }
  std::string text;
  for (const auto& ending : endings) text += (text.empty() ? "" : ", ") + ending;
  return text;
}

std::vector<std::string> resolved_targets(const ModelConfig& config,
                                          const std::vector<std::string>& targets) {
  std::vector<std::string> resolved;
  for (const auto& target : targets)
    for (const auto& name : names_in_model(config, target))
      if (std::find(resolved.begin(), resolved.end(), name) == resolved.end()) resolved.push_back(name);
  if (config.experts) require_whole_experts(*config.experts, resolved);
  return resolved;
}

}  // namespace anneal
