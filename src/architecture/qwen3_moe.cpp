// Qwen3 with a mixture of experts in place of the MLP, in all layers or in some.
#include <algorithm>

#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_qwen3_moe_config(const Json& config, const std::string& where) {
  const auto take = [&](const char* key, auto otherwise) {
    return optional(config, key, otherwise, where, ExitCode::kModel);
  };
  auto model = read_shared_keys(config, where);
  read_head_dim(config, where, model);
  read_rope(config, where, model);
  model.has_qk_norm = true;
  read_attention_bias(config, where, model);
  if (take("use_sliding_window", false)) read_window(config, where, model);
  ExpertsConfig experts{.count = take("num_experts", take("num_local_experts", std::int64_t{128})),
                        .per_token = take("num_experts_per_tok", std::int64_t{8}),
                        .intermediate_size = take("moe_intermediate_size", std::int64_t{768}),
                        .normalizes_weights = take("norm_topk_prob", false),
                        .block = "mlp",
                        .gate = "gate_proj",
                        .up = "up_proj",
                        .down = "down_proj"};
  const auto step = take("decoder_sparse_step", std::int64_t{1});
  require_positive(step, "decoder_sparse_step", where);
  const auto dense = take("mlp_only_layers", std::vector<std::int64_t>());
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer)
    experts.is_sparse.push_back(experts.count > 0 && (layer + 1) % step == 0 &&
                                std::find(dense.begin(), dense.end(), layer) == dense.end());
  if (optional(config, "output_router_logits", false, where, ExitCode::kModel))
    experts.router_aux_loss_coef = optional(config, "router_aux_loss_coef", 0.001, where, ExitCode::kModel);
  model.experts = experts;
  return model;
}

}  // namespace anneal
