// Llama 2, 3, 3.1 and 3.2, and models of the same form (SmolLM2, TinyLlama, ...).
#include "models/model_config.h"

namespace anneal {

ModelConfig read_llama_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  model.head_dim =
      optional(config, "head_dim", model.hidden_size / model.num_attention_heads, where, ExitCode::kModel);
  return model;
}

}  // namespace anneal
