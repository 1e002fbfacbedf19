// Llama 2, 3, 3.1 and 3.2, and models of the same form (SmolLM2, TinyLlama, ...).
#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_llama_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  read_head_dim(config, where, model);
  read_rope(config, where, model);
  read_attention_bias(config, where, model);
  model.has_mlp_bias = optional<bool>(config, "mlp_bias", false, where, ExitCode::kModel);
  return model;
}

}  // namespace anneal
