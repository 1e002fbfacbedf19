// A model as the matrices that it multiplies with, and what of it is trained: all that memory and work follow
// from. Made from config.json; no weights are needed.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "architecture/model_config.h"

namespace anneal {

struct LinearShape {
  std::string name;  // the module path of Hugging Face; of experts that of the first
  std::int64_t in_features = 0, out_features = 0;
  bool has_bias = false;
  std::int64_t copies = 1;     // experts are alike
  double share_of_tokens = 1;  // that go through each copy, on average
  std::int64_t rank = 0;       // of its adapter, where it has one
  bool has_magnitude = false;  // DoRA

  std::int64_t weights() const { return in_features * out_features; }
  std::int64_t parameters() const { return copies * (weights() + (has_bias ? out_features : 0)); }
  std::int64_t adapter_parameters() const {
    return copies * (rank * (in_features + out_features) + (has_magnitude ? out_features : 0));
  }
};

struct LayerShape {
  std::vector<LinearShape> attention_inputs, mlp_inputs;  // of an expert where the layer has experts
  LinearShape attention_output, mlp_output;
  std::int64_t experts = 0, experts_per_token = 0;
  std::int64_t router_weights = 0;
  std::int64_t norm_weights = 0;

  template <class Self, class Visit>
  static void visit_linears(Self& layer, const Visit& visit) {
    for (auto& linear : layer.attention_inputs) visit(linear);
    visit(layer.attention_output);
    for (auto& linear : layer.mlp_inputs) visit(linear);
    visit(layer.mlp_output);
  }
  void for_each_linear(const std::function<void(const LinearShape&)>& visit) const {
    visit_linears(*this, visit);
  }
  void for_each_linear(const std::function<void(LinearShape&)>& visit) { visit_linears(*this, visit); }

  std::int64_t base_parameters() const;
  std::int64_t adapter_parameters() const;
};

struct ModelShape {
  ModelConfig config;
  std::vector<LayerShape> layers;
  bool trains_all = false;  // full fine-tuning
  double lora_dropout = 0;

  std::int64_t embedding_parameters() const { return config.vocab_size * config.hidden_size; }
  std::int64_t base_parameters() const;
  std::int64_t adapter_parameters() const;
  std::int64_t trained_parameters() const { return trains_all ? base_parameters() : adapter_parameters(); }
};

// Nothing is trained yet.
ModelShape shape_of(const ModelConfig& config);

struct AdapterChoice {
  std::vector<std::string> targets;  // as the user names them
  std::int64_t rank;
  double dropout;
  bool has_magnitudes = false;
  bool allows_missing = false;
};
// Throws UserError(kUsage) for a target that hits no linear layer, unless that is allowed.
void add_adapters(ModelShape& shape, const AdapterChoice& choice);

}  // namespace anneal
