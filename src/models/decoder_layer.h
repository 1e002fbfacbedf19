// One pre-norm decoder layer: x + attention(norm(x)), then x + gated MLP(norm(x)). Forward and backward.
// Shapes: N tokens, E hidden size.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>

#include "models/model_config.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"
#include "nn/rotary.h"
#include "nn/swiglu.h"

namespace anneal {

struct NormWeight {
  std::string name;     // e.g. "model.layers.0.input_layernorm"
  at::Tensor weight_D;  // float32; the parameter's value where it is trained
  Parameter* parameter = nullptr;
};

struct Normed {
  at::Tensor y, inverse_rms;  // the latter for backward
};
Normed normed(const at::Tensor& x_ND, const NormWeight& norm, double eps);

// What scores are multiplied with before the softmax.
double attention_scale(const ModelConfig& config);

// Attention in place of that within the batch: rotated queries and keys, and values, to out_NHD.
using AttentionFunction =
    std::function<at::Tensor(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD)>;

// What all layers of one pass share.
struct LayerPass {
  const RopeTable& rope;
  SegmentStarts segment_starts;
  PassContext context;
  const AttentionFunction* attend = nullptr;  // of generation; nothing is kept then
};

// What backward needs of a layer, beyond its input. Norms, rotations and the activation are reckoned again.
struct LayerActivations {
  at::Tensor input_NE;
  at::Tensor q_NHD, k_NKD, v_NKD;  // before q/k norm where the family has one, else rotated
  AttentionOutput attended;
  at::Tensor after_attention_NE;
  at::Tensor gate_NF, up_NF;
  std::array<LoraActivations, 7> lora;  // by DecoderLayer::Projection
  bool holds_all() const { return gate_NF.defined(); }
};

class DecoderLayer {
 public:
  enum Projection { kQ, kK, kV, kO, kGate, kUp, kDown };

  std::array<Linear, 7> projections;
  NormWeight input_layernorm, post_attention_layernorm;
  NormWeight q_norm, k_norm;  // undefined weights where the family has none

  // Fills `keep` with what backward needs, where it is given.
  at::Tensor forward(const ModelConfig& config, const at::Tensor& x_NE, const LayerPass& pass,
                     LayerActivations* keep) const;

  // dx_NE: the gradient of the output on entry, of the input on return. With wants_input_gradient off, dx_NE
  // is left undefined and nothing below the lowest trained tensor is reckoned. Uses up `kept`.
  void backward(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept, const LayerPass& pass,
                bool wants_input_gradient) const;

  bool trains_anything() const { return trains_attention() || trains_mlp(); }

 private:
  bool trains_attention() const;
  bool trains_mlp() const;
  void backward_mlp(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                    const PassContext& context, bool wants_input_gradient) const;
  void backward_attention(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                          const LayerPass& pass, bool wants_input_gradient) const;
};

}  // namespace anneal
