// What config.json says of a decoder-only language model, in one form for all families and for both styles of
// key that transformers 4 and 5 write.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "architecture/attention_reach.h"
#include "architecture/rope_parameters.h"
#include "base/json.h"

namespace anneal {

// Layers that hold a mixture of experts in place of one MLP.
struct ExpertsConfig {
  std::int64_t count = 0, per_token = 0, intermediate_size = 0;
  bool normalizes_weights = false;
  std::string block;            // the module's name in a layer, e.g. "mlp"
  std::string gate, up, down;   // names of an expert's projections
  std::vector<bool> is_sparse;  // of each layer
  // Of the routers' auxiliary loss, where output_router_logits asks for it.
  std::optional<double> router_aux_loss_coef;
};

struct ModelConfig {
  std::string architecture;  // e.g. "LlamaForCausalLM"
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  double rms_norm_eps = 1e-6;
  RopeParameters rope;
  std::vector<AttentionReach> reach;  // of each layer
  bool tie_word_embeddings = false;
  bool has_qk_norm = false;
  bool has_qkv_bias = false, has_output_bias = false, has_mlp_bias = false;
  bool is_fused = false;  // qkv_proj and gate_up_proj in place of their parts
  std::optional<ExpertsConfig> experts;
  std::string dtype;  // that the weights are said to be stored in; they themselves decide

  std::int64_t q_width() const { return num_attention_heads * head_dim; }
  std::int64_t kv_width() const { return num_key_value_heads * head_dim; }
  bool is_sparse(std::int64_t layer) const { return experts && experts->is_sparse[layer]; }
};

// Reads <folder>/config.json. Throws UserError(kModel) for an architecture or an option that is not known.
ModelConfig read_model_config(const std::filesystem::path& folder);
// The same of a config.json that is read; `where` is named in errors.
ModelConfig read_model_config(const Json& config, const std::string& where);

// Clamps --max_seq_length to the model's limit and returns a notice of it, or nothing where it is within.
// Throws UserError(kUsage) where it was given.
std::string fit_length(std::int64_t& max_seq_length, bool is_given, std::int64_t limit);

// For the files of the families. Each of these throws UserError(kModel).
ModelConfig read_shared_keys(const Json& config, const std::string& where);
void require_value(const Json& config, const char* key, const Json& wanted, const std::string& where);
void require_positive(std::int64_t value, const char* key, const std::string& where);
// head_dim, or where it is not said the hidden size divided by the heads.
void read_head_dim(const Json& config, const std::string& where, ModelConfig& model);
// After the head size is known. takes_partial: a part of each head may stay unrotated.
void read_rope(const Json& config, const std::string& where, ModelConfig& model, bool takes_partial = false);
// sliding_window of every layer, where there is one.
void read_window(const Json& config, const std::string& where, ModelConfig& model);
// sliding_window of the layers that layer_types or max_window_layers says, where use_sliding_window is on.
void read_window_by_layer(const Json& config, const std::string& where, ModelConfig& model);
// attention_bias of the projections to and from attention.
void read_attention_bias(const Json& config, const std::string& where, ModelConfig& model);

// The families; one file each, named as in transformers.
ModelConfig read_llama_config(const Json& config, const std::string& where);
ModelConfig read_mistral_config(const Json& config, const std::string& where);
ModelConfig read_mixtral_config(const Json& config, const std::string& where);
ModelConfig read_phi3_config(const Json& config, const std::string& where);
ModelConfig read_qwen2_config(const Json& config, const std::string& where);
ModelConfig read_qwen3_config(const Json& config, const std::string& where);
ModelConfig read_qwen3_moe_config(const Json& config, const std::string& where);

}  // namespace anneal
