// What config.json says of a decoder-only language model, in one form for all families and for both styles of
// key that transformers 4 and 5 write.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "nn/rotary.h"

namespace anneal {

struct ModelConfig {
  std::string architecture;  // e.g. "LlamaForCausalLM"
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool has_qk_norm = false;
  std::string dtype;  // that the weights are said to be stored in; they themselves decide
};

// Reads <folder>/config.json. Throws UserError(kModel) for an architecture or an option that is not known.
ModelConfig read_model_config(const std::filesystem::path& folder);

// For the files of the families: the keys that they share, and a refusal of options outside of `wanted`.
ModelConfig read_shared_keys(const Json& config, const std::string& where);
void require_value(const Json& config, const char* key, const Json& wanted, const std::string& where);

// The families; one file each, named as in transformers.
ModelConfig read_llama_config(const Json& config, const std::string& where);
ModelConfig read_qwen3_config(const Json& config, const std::string& where);

}  // namespace anneal
