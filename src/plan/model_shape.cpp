#include "plan/model_shape.h"

#include <algorithm>

#include "architecture/lora_targets.h"

namespace anneal {
namespace {

void set_attention(const ModelConfig& c, const std::string& prefix, LayerShape& layer) {
  const auto hidden = c.hidden_size, q = c.q_width(), kv = c.kv_width();
  const auto add = [&](const char* name, std::int64_t out) {
    layer.attention_inputs.push_back({prefix + name, hidden, out, c.has_qkv_bias});
  };
  if (c.is_fused) {
    add("qkv_proj", q + 2 * kv);
  } else {
    add("q_proj", q);
    add("k_proj", kv);
    add("v_proj", kv);
  }
  layer.attention_output = {prefix + "o_proj", q, hidden, c.has_output_bias};
}

void set_mlp(const ModelConfig& c, const std::string& prefix, LayerShape& layer) {
  const auto hidden = c.hidden_size, wide = c.intermediate_size;
  const auto add = [&](const char* name, std::int64_t out) {
    layer.mlp_inputs.push_back({prefix + name, hidden, out, c.has_mlp_bias});
  };
  if (c.is_fused) {
    add("gate_up_proj", 2 * wide);
  } else {
    add("gate_proj", wide);
    add("up_proj", wide);
  }
  layer.mlp_output = {prefix + "down_proj", wide, hidden, c.has_mlp_bias};
}

void set_experts(const ModelConfig& c, const std::string& prefix, LayerShape& layer) {
  const auto& experts = *c.experts;
  const auto hidden = c.hidden_size, wide = experts.intermediate_size;
  const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    return LinearShape{
        .name = prefix + "experts.0." + name,
        .in_features = in,
        .out_features = out,
        .copies = experts.count,
        .share_of_tokens = static_cast<double>(experts.per_token) / static_cast<double>(experts.count)};
  };
  layer.mlp_inputs = {linear(experts.gate, hidden, wide), linear(experts.up, hidden, wide)};
  layer.mlp_output = linear(experts.down, wide, hidden);
  layer.experts = experts.count;
  layer.experts_per_token = experts.per_token;
  layer.router_weights = experts.count * hidden;
}

std::string endings_of(const ModelShape& shape) {
  std::vector<std::string> names;
  for (const auto& layer : shape.layers)
    layer.for_each_linear([&](const LinearShape& linear) { names.push_back(linear.name); });
  return endings_text(names);
}

}  // namespace

std::int64_t LayerShape::base_parameters() const {
  std::int64_t total = router_weights + norm_weights;
  for_each_linear([&](const LinearShape& linear) { total += linear.parameters(); });
  return total;
}

std::int64_t LayerShape::adapter_parameters() const {
  std::int64_t total = 0;
  for_each_linear([&](const LinearShape& linear) { total += linear.adapter_parameters(); });
  return total;
}

std::int64_t ModelShape::base_parameters() const {
  auto total = embedding_parameters() * (config.tie_word_embeddings ? 1 : 2) + config.hidden_size;
  for (const auto& layer : layers) total += layer.base_parameters();
  return total;
}

std::int64_t ModelShape::adapter_parameters() const {
  std::int64_t total = 0;
  for (const auto& layer : layers) total += layer.adapter_parameters();
  return total;
}

ModelShape shape_of(const ModelConfig& config) {
  ModelShape shape{.config = config};
  for (std::int64_t index = 0; index < config.num_hidden_layers; ++index) {
    const auto prefix = "model.layers." + std::to_string(index) + ".";
    auto& layer = shape.layers.emplace_back();
    layer.norm_weights = 2 * config.hidden_size + (config.has_qk_norm ? 2 * config.head_dim : 0);
    set_attention(config, prefix + "self_attn.", layer);
    if (config.is_sparse(index))
      set_experts(config, prefix + config.experts->block + ".", layer);
    else
      set_mlp(config, prefix + "mlp.", layer);
  }
  return shape;
}

void add_adapters(ModelShape& shape, const AdapterChoice& choice) {
  shape.lora_dropout = choice.dropout;
  const auto targets = resolved_targets(shape.config, choice.targets);
  std::vector<std::int64_t> hits(targets.size(), 0);
  for (auto& layer : shape.layers)
    layer.for_each_linear([&](LinearShape& linear) {
      for (std::size_t at = 0; at < targets.size(); ++at) {
        if (!is_target(linear.name, targets[at])) continue;
        ++hits[at];
        linear.rank = choice.rank;
        linear.has_magnitude = choice.has_magnitudes;
      }
    });
  std::vector<Problem> problems;
  for (std::size_t at = 0; at < targets.size(); ++at)
    if (hits[at] == 0 && !choice.allows_missing)
      problems.push_back({"\"" + targets[at] + "\" hits no linear layer of this model",
                          "--lora_target_modules",
                          "take names of " + endings_of(shape) + ", or give --allow_missing_targets"});
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
}

}  // namespace anneal
