// Model folders of a few thousand weights, as Hugging Face lays them out.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/safetensors.h"
#include "models/causal_lm.h"
#include "tests/support/tensors.h"

namespace anneal {

using Tensors = std::map<std::string, at::Tensor>;

// `architecture`: LlamaForCausalLM or Qwen3ForCausalLM. Tests change what they want to see changed.
inline Json tiny_config(const std::string& architecture = "LlamaForCausalLM") {
  return {{"architectures", {architecture}},
          {"vocab_size", 37},
          {"hidden_size", 24},
          {"intermediate_size", 40},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float32"}};
}

// Random weights, large enough that every part of the model matters.
inline Tensors tiny_weights(const Json& config, at::ScalarType type = at::kFloat) {
  Tensors weights;
  const auto number = [&](const char* key) { return config.at(key).get<std::int64_t>(); };
  const auto hidden = number("hidden_size"), wide = number("intermediate_size"),
             head_dim = number("head_dim");
  const auto q_width = number("num_attention_heads") * head_dim,
             kv_width = number("num_key_value_heads") * head_dim;
  const auto matrix = [&](const std::string& name, std::int64_t out, std::int64_t in, double size) {
    weights[name] = random_tensor({out, in}, hash_name(name), at::kDouble).mul(size).to(type);
  };
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    matrix(name + ".weight", out, in, 2 / std::sqrt(static_cast<double>(in)));
  };
  const auto norm = [&](const std::string& name, std::int64_t width) {
    weights[name + ".weight"] = random_tensor({width}, hash_name(name), at::kDouble).mul(0.5).add(1).to(type);
  };
  matrix("model.embed_tokens.weight", number("vocab_size"), hidden, 1);
  for (std::int64_t index = 0; index < number("num_hidden_layers"); ++index) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    norm(prefix + "input_layernorm", hidden);
    norm(prefix + "post_attention_layernorm", hidden);
    if (config.at("architectures")[0] == "Qwen3ForCausalLM") {
      norm(prefix + "self_attn.q_norm", head_dim);
      norm(prefix + "self_attn.k_norm", head_dim);
    }
    linear(prefix + "self_attn.q_proj", q_width, hidden);
    linear(prefix + "self_attn.k_proj", kv_width, hidden);
    linear(prefix + "self_attn.v_proj", kv_width, hidden);
    linear(prefix + "self_attn.o_proj", hidden, q_width);
    linear(prefix + "mlp.gate_proj", wide, hidden);
    linear(prefix + "mlp.up_proj", wide, hidden);
    linear(prefix + "mlp.down_proj", hidden, wide);
  }
  norm("model.norm", hidden);
  if (!config.at("tie_word_embeddings").get<bool>()) linear("lm_head", number("vocab_size"), hidden);
  return weights;
}

// The tensor is contiguous and outlives the view.
inline NamedTensor named_view(const std::string& name, const at::Tensor& tensor) {
  const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {name, {dtype_of(tensor.scalar_type()), tensor.sizes().vec(), {bytes, tensor.nbytes()}}};
}

inline void write_tensors(const std::filesystem::path& path, const Tensors& tensors) {
  std::vector<NamedTensor> views;
  for (const auto& [name, tensor] : tensors) views.push_back(named_view(name, tensor));
  write_safetensors(path, views);
}

inline void write_model(const std::filesystem::path& folder, const Json& config, const Tensors& weights) {
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "config.json", config.dump(2));
  write_tensors(folder / "model.safetensors", weights);
}

inline void write_tiny_model(const std::filesystem::path& folder, const Json& config,
                             at::ScalarType type = at::kFloat) {
  write_model(folder, config, tiny_weights(config, type));
}

// Token ids below `vocab_size`, a function of the seed.
inline std::vector<std::int32_t> random_ids(std::size_t length, std::uint64_t seed,
                                            std::int32_t vocab_size = 37) {
  std::vector<std::int32_t> ids(length);
  for (std::size_t at = 0; at < length; ++at) ids[at] = static_cast<std::int32_t>(mix(seed, at) % vocab_size);
  return ids;
}

}  // namespace anneal
