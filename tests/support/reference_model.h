// The model by its textbook formulas in float64, one sample at a time, with gradients by autograd.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <map>
#include <string>

#include "models/causal_lm.h"
#include "nn/dropout.h"
#include "tests/support/tiny_model.h"

namespace anneal {

class ReferenceModel {
 public:
  // Takes the values that `model` has now, and its adapters; every one of them gets a gradient.
  ReferenceModel(const Json& config, const Tensors& weights, CausalLm& model) : config_(config) {
    for (const auto& [name, tensor] : weights) leaves_[name] = leaf(tensor);
    model.for_each_linear([&](const Linear& linear) {
      if (!linear.lora) return;
      for (const auto* parameter : linear.lora->parameters())
        leaves_[parameter->name] = leaf(parameter->value);
      adapters_[linear.name] = {linear.lora->scale, linear.lora->dropout, linear.lora->module_key};
    });
  }

  // The sum of NLL over the trained positions of the pool, and their number. `row_keys`: a key a token of the
  // whole pool, or undefined.
  std::pair<at::Tensor, std::int64_t> loss(const std::vector<SampleView>& pool, const at::Tensor& row_keys) {
    auto total = at::zeros({}, at::kDouble);
    std::int64_t trained = 0;
    std::int64_t first = 0;
    for (const auto& sample : pool) {
      const auto end = first + static_cast<std::int64_t>(sample.ids.size());
      if (row_keys.defined()) keys_ = row_keys.slice(0, first, end);
      first = end;
      const auto log_probability = at::log_softmax(logits(sample), -1);
      for (std::size_t at = std::max<std::int64_t>(sample.prompt_length, 1); at < sample.ids.size();
           ++at, ++trained)
        total = total - log_probability[static_cast<std::int64_t>(at) - 1][sample.ids[at]];
    }
    return {total, trained};
  }

  // The gradient of what was last passed to backward(), by parameter name.
  const at::Tensor& gradient(const std::string& name) const { return leaves_.at(name).grad(); }

  at::Tensor logits(const SampleView& sample) {
    const std::vector<std::int64_t> ids(sample.ids.begin(), sample.ids.end());
    auto x = leaves_.at("model.embed_tokens.weight").index_select(0, at::tensor(ids));
    for (std::int64_t index = 0; index < number("num_hidden_layers"); ++index) {
      const std::string prefix = "model.layers." + std::to_string(index) + ".";
      x = x + attention(prefix + "self_attn.", norm(prefix + "input_layernorm", x));
      const auto h = norm(prefix + "post_attention_layernorm", x);
      const auto gate = linear(prefix + "mlp.gate_proj", h);
      x = x + linear(prefix + "mlp.down_proj", gate * at::sigmoid(gate) * linear(prefix + "mlp.up_proj", h));
    }
    const bool tied = config_.at("tie_word_embeddings");
    return norm("model.norm", x)
        .matmul(leaves_.at(tied ? "model.embed_tokens.weight" : "lm_head.weight").t());
  }

 private:
  struct Adapter {
    double scale, dropout;
    std::uint64_t module_key;
  };

  static at::Tensor leaf(const at::Tensor& tensor) {
    return tensor.to(at::kDouble).clone().set_requires_grad(true);
  }
  std::int64_t number(const char* key) const { return config_.at(key).get<std::int64_t>(); }

  at::Tensor norm(const std::string& name, const at::Tensor& x) {
    const double eps = config_.at("rms_norm_eps");
    return x / ((x * x).mean(-1, true) + eps).sqrt() * leaves_.at(name + ".weight");
  }

  at::Tensor linear(const std::string& name, const at::Tensor& x) {
    const auto y = x.matmul(leaves_.at(name + ".weight").t());
    const auto found = adapters_.find(name);
    if (found == adapters_.end()) return y;
    const auto& [scale, dropout, module_key] = found->second;
    auto dropped = x;
    if (keys_.defined() && dropout > 0)
      dropped =
          x * plain::dropout_mask(x.size(1), {keys_, module_key}, dropout).to(at::kDouble) / (1 - dropout);
    const std::string prefix = "base_model.model." + name;
    const auto a = leaves_.at(prefix + ".lora_A.weight"), b = leaves_.at(prefix + ".lora_B.weight");
    const auto update = scale * dropped.matmul(a.t()).matmul(b.t());
    const auto magnitude = leaves_.find(prefix + ".lora_magnitude_vector");
    if (magnitude == leaves_.end()) return y + update;
    // The norm counts as a constant.
    const auto weight = leaves_.at(name + ".weight");
    const auto norm = at::linalg_vector_norm((weight + scale * b.matmul(a)).detach(), 2, at::IntArrayRef{1});
    const auto base = dropped.matmul(weight.t());
    return y - base + magnitude->second / norm * (base + update);
  }

  at::Tensor rotated(const at::Tensor& x_THD) const {
    const auto half = x_THD.size(2) / 2;
    const double theta = config_.at("rope_theta");
    const auto frequency =
        (at::arange(half, at::kDouble) * (-std::log(theta) / static_cast<double>(half))).exp();
    const auto angle = (at::arange(x_THD.size(0), at::kDouble).unsqueeze(1) * frequency).unsqueeze(1);
    const auto first = x_THD.slice(2, 0, half), second = x_THD.slice(2, half);
    return at::cat({first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()},
                   2);
  }

  at::Tensor attention(const std::string& prefix, const at::Tensor& h) {
    const auto tokens = h.size(0), head_dim = number("head_dim");
    const auto group = number("num_attention_heads") / number("num_key_value_heads");
    auto q = linear(prefix + "q_proj", h).view({tokens, -1, head_dim});
    auto k = linear(prefix + "k_proj", h).view({tokens, -1, head_dim});
    const auto v = linear(prefix + "v_proj", h).view({tokens, -1, head_dim});
    if (leaves_.count(prefix + "q_norm.weight") != 0) {
      q = norm(prefix + "q_norm", q);
      k = norm(prefix + "k_norm", k);
    }
    const auto heads_first = [](const at::Tensor& x, std::int64_t times) {
      return x.transpose(0, 1).repeat_interleave(times, 0);
    };
    const auto scores = at::bmm(heads_first(rotated(q), 1), heads_first(rotated(k), group).transpose(1, 2));
    const auto later = at::ones({tokens, tokens}, at::kBool).triu(1);
    const auto weights =
        at::softmax((scores / std::sqrt(static_cast<double>(head_dim))).masked_fill(later, -INFINITY), -1);
    return linear(prefix + "o_proj",
                  at::bmm(weights, heads_first(v, group)).transpose(0, 1).reshape({tokens, -1}));
  }

  Json config_;
  Tensors leaves_;
  std::map<std::string, Adapter> adapters_;
  at::Tensor keys_;
};

}  // namespace anneal
