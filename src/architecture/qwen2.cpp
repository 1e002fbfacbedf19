// Qwen2 and Qwen2.5: Llama's layer with biases on queries, keys and values; a sliding window in upper layers
// where the file asks for it.
#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_qwen2_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  read_head_dim(config, where, model);
  read_rope(config, where, model);
  read_window_by_layer(config, where, model);
  model.has_qkv_bias = true;
  return model;
}

}  // namespace anneal
