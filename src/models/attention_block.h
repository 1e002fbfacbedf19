// Self-attention of a decoder layer, from its normed input to what is added to the residual stream.
// Shapes: N tokens, E hidden size, H query heads, K key/value heads, D head size.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "architecture/model_config.h"
#include "models/norm_weight.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/rotary.h"

namespace anneal {

// What scores are multiplied with before the softmax.
double attention_scale(const ModelConfig& config);

// Attention in place of that within the batch: rotated queries and keys, and values, to out_NHD.
using AttentionFunction = std::function<at::Tensor(const at::Tensor& q_NHD, const at::Tensor& k_NKD,
                                                   const at::Tensor& v_NKD, const AttentionReach& reach)>;

class RouterBalance;

// What all layers of one pass share.
struct LayerPass {
  const RopeTable& rope;
  SegmentStarts segment_starts;
  PassContext context;
  const AttentionFunction* attend = nullptr;  // of generation; nothing is kept then
  RouterBalance* balance = nullptr;           // where routers have a loss of their own
};

struct AttentionActivations {
  at::Tensor q_NHD, k_NKD, v_NKD;  // before q/k norm where the family has one, else rotated
  AttentionOutput attended;
  std::array<LoraActivations, 3> lora;  // of `inputs`
  LoraActivations output_lora;
};

class AttentionBlock {
 public:
  std::vector<Linear> inputs;  // q_proj, k_proj, v_proj; or qkv_proj alone
  Linear o_proj;
  NormWeight q_norm, k_norm;  // undefined weights where the family has none
  AttentionReach reach;

  at::Tensor forward(const ModelConfig& config, const at::Tensor& h_NE, const LayerPass& pass,
                     AttentionActivations& keep) const;

  // dy_NE: the gradient of the output. Where dh_NE is given, sets it to that of the input.
  void backward(const ModelConfig& config, const at::Tensor& dy_NE, const at::Tensor& h_NE,
                AttentionActivations& kept, const LayerPass& pass, at::Tensor* dh_NE) const;

  bool is_trained() const;
  template <class Visit>
  void for_each_linear(const Visit& visit) {
    for (auto& linear : inputs) visit(linear);
    visit(o_proj);
  }

 private:
  void project_inputs(const ModelConfig& config, const at::Tensor& h_NE, const PassContext& context,
                      AttentionActivations& keep) const;
};

}  // namespace anneal
