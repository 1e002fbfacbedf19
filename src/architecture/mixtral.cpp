// Mixtral: Mistral's attention, and in every layer a mixture of experts, two of eight for each token.
#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_mixtral_config(const Json& config, const std::string& where) {
  const auto take = [&](const char* key, std::int64_t otherwise) {
    return optional<std::int64_t>(config, key, otherwise, where, ExitCode::kModel);
  };
  auto model = read_shared_keys(config, where);
  model.rms_norm_eps = optional(config, "rms_norm_eps", 1e-5, where, ExitCode::kModel);
  read_head_dim(config, where, model);
  model.rope.theta = 1e6;  // where the file does not say it
  read_rope(config, where, model);
  read_window(config, where, model);
  require_value(config, "router_jitter_noise", 0.0, where);
  ExpertsConfig experts{.count = take("num_local_experts", take("num_experts", 8)),
                        .per_token = take("num_experts_per_tok", 2),
                        .intermediate_size = model.intermediate_size,
                        .normalizes_weights = true,
                        .block = "block_sparse_moe",
                        .gate = "w1",
                        .up = "w3",
                        .down = "w2"};
  experts.is_sparse.assign(model.num_hidden_layers, true);
  if (optional(config, "output_router_logits", false, where, ExitCode::kModel))
    experts.router_aux_loss_coef = optional(config, "router_aux_loss_coef", 0.001, where, ExitCode::kModel);
  model.experts = experts;
  return model;
}

}  // namespace anneal
