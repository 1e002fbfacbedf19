// Mistral 7B and models of the same form: Llama's layer, with a sliding window in the first version. Where a
// file does not speak of the window, it is the 4096 tokens of that version.
#include "architecture/model_config.h"

namespace anneal {

ModelConfig read_mistral_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  read_head_dim(config, where, model);
  read_rope(config, where, model);
  Json said = config;
  if (!said.contains("sliding_window")) said["sliding_window"] = 4096;
  read_window(said, where, model);
  return model;
}

}  // namespace anneal
