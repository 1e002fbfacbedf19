// The gated MLP of a decoder layer, or of one of its experts: down(silu(gate(h)) * up(h)).
// Shapes: N tokens, E hidden size, F intermediate size.
#pragma once
#include <array>
#include <vector>

#include "nn/linear.h"

namespace anneal {

struct MlpActivations {
  at::Tensor gate_NF, up_NF;
  std::array<LoraActivations, 2> lora;  // of `inputs`
  LoraActivations output_lora;
};

class GatedMlp {
 public:
  std::vector<Linear> inputs;  // gate_proj, up_proj; or gate_up_proj alone
  Linear down_proj;

  at::Tensor forward(const at::Tensor& h_NE, const PassContext& context, MlpActivations& keep) const;

  // dy_NE: the gradient of the output. Where dh_NE is given, sets it (if undefined) to that of the input, or
  // adds to it. Uses up `kept`.
  void backward(const at::Tensor& dy_NE, const at::Tensor& h_NE, MlpActivations& kept,
                const PassContext& context, at::Tensor* dh_NE) const;

  bool is_trained() const;
  template <class Visit>
  void for_each_linear(const Visit& visit) {
    for (auto& linear : inputs) visit(linear);
    visit(down_proj);
  }
};

}  // namespace anneal
