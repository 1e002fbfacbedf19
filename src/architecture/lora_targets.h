// Which linear layers the names of LoRA targets mean.
#pragma once
#include <string>
#include <vector>

#include "architecture/model_config.h"

namespace anneal {

// PEFT's rule: the whole name, or its ending after a dot; "all-linear" is every module.
bool is_target(const std::string& module, const std::string& target);

// The last parts of the modules' names, each once, for messages: "q_proj, k_proj".
std::string endings_text(const std::vector<std::string>& modules);

// The targets by the names that the model's own modules have: on models with fused projections q_proj, k_proj
// and v_proj are qkv_proj, gate_proj and up_proj are gate_up_proj; on models with experts "all-linear" is
// spelt out, since PEFT would take the router too. Throws UserError(kUsage) for half of an expert's gate and
// up, which PEFT holds in one adapter.
std::vector<std::string> resolved_targets(const ModelConfig& config, const std::vector<std::string>& targets);

}  // namespace anneal
