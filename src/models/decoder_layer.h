// One pre-norm decoder layer: x + attention(norm(x)), then x + MLP(norm(x)), where the MLP may be a mixture
// of experts. Forward and backward. Shapes: N tokens, E hidden size.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "architecture/model_config.h"
#include "models/attention_block.h"
#include "models/gated_mlp.h"
#include "models/moe_block.h"
#include "models/norm_weight.h"

namespace anneal {

// What backward needs of a layer, beyond its input. Norms, rotations and the activation are reckoned again.
struct LayerActivations {
  at::Tensor input_NE;
  AttentionActivations attention;
  at::Tensor after_attention_NE;
  MlpActivations mlp;
  MoeActivations moe;  // in its place, of a layer with experts
  bool holds_all() const { return after_attention_NE.defined(); }
};

class DecoderLayer {
 public:
  NormWeight input_layernorm, post_attention_layernorm;
  AttentionBlock attention;
  GatedMlp mlp;
  std::optional<MoeBlock> moe;  // in its place

  // Fills `keep` with what backward needs, where it is given.
  at::Tensor forward(const ModelConfig& config, const at::Tensor& x_NE, const LayerPass& pass,
                     LayerActivations* keep) const;

  // dx_NE: the gradient of the output on entry, of the input on return. With wants_input_gradient off, dx_NE
  // is left undefined and nothing below the lowest trained tensor is reckoned. Uses up `kept`.
  void backward(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept, const LayerPass& pass,
                bool wants_input_gradient) const;

  bool trains_anything() const { return trains_attention() || trains_mlp(); }

  // Every linear layer that adapters may go to: all but the router of experts.
  template <class Visit>
  void for_each_linear(const Visit& visit) {
    attention.for_each_linear(visit);
    if (!moe) return mlp.for_each_linear(visit);
    for (auto& expert : moe->experts) expert.for_each_linear(visit);
  }
  template <class Visit>
  void for_each_norm(const Visit& visit) {
    for (auto* norm : {&attention.q_norm, &attention.k_norm, &input_layernorm, &post_attention_layernorm})
      if (norm->weight_D.defined()) visit(*norm);
  }
  template <class Visit>
  void for_each_linear(const Visit& visit) const {
    const_cast<DecoderLayer*>(this)->for_each_linear([&](const Linear& linear) { visit(linear); });
  }
  template <class Visit>
  void for_each_norm(const Visit& visit) const {
    const_cast<DecoderLayer*>(this)->for_each_norm([&](const NormWeight& norm) { visit(norm); });
  }

 private:
  bool trains_attention() const { return input_layernorm.parameter || attention.is_trained(); }
  bool trains_mlp() const;
  void backward_mlp(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                    const LayerPass& pass, bool wants_input_gradient) const;
  void backward_attention(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                          const LayerPass& pass, bool wants_input_gradient) const;
};

}  // namespace anneal
