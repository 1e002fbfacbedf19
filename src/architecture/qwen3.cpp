// Qwen3 (dense): Llama's layer with an RMSNorm on each query and key head. The family's config defaults to a
// head size of 128, whatever the hidden size.
#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_qwen3_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  model.head_dim = optional<std::int64_t>(config, "head_dim", 128, where, ExitCode::kModel);
  read_rope(config, where, model);
  model.has_qk_norm = true;
  read_attention_bias(config, where, model);
  read_window_by_layer(config, where, model);
  return model;
}

}  // namespace anneal
