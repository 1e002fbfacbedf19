#include "models/gated_mlp.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "nn/swiglu.h"

namespace anneal {
namespace {

at::Tensor activation(const MlpActivations& kept) {
  auto result = at::empty_like(kept.gate_NF);
  swiglu(kept.gate_NF, kept.up_NF, result);
  return result;
}

}  // namespace

bool GatedMlp::is_trained() const {
  return down_proj.is_trained() ||
         std::any_of(inputs.begin(), inputs.end(), [](const auto& linear) { return linear.is_trained(); });
}

at::Tensor GatedMlp::forward(const at::Tensor& h_NE, const PassContext& context, MlpActivations& keep) const {
  std::vector<at::Tensor> parts;
  for (std::size_t index = 0; index < inputs.size(); ++index)
    parts.push_back(inputs[index].forward(h_NE, context, keep.lora[index]));
  if (parts.size() == 1) parts = parts[0].chunk(2, 1);
  keep.gate_NF = parts[0].contiguous();
  keep.up_NF = parts[1].contiguous();
  return down_proj.forward(activation(keep), context, keep.output_lora);
}

void GatedMlp::backward(const at::Tensor& dy_NE, const at::Tensor& h_NE, MlpActivations& kept,
                        const PassContext& context, at::Tensor* dh_NE) const {
  at::Tensor d_activation;
  down_proj.backward(dy_NE, activation(kept), kept.output_lora, context, &d_activation);
  swiglu_backward(d_activation, kept.gate_NF, kept.up_NF);  // they now hold their gradients
  std::vector<at::Tensor> parts{std::move(kept.gate_NF), std::move(kept.up_NF)};
  if (inputs.size() == 1) parts = {at::cat(parts, 1)};
  for (std::size_t index = 0; index < inputs.size(); ++index)
    inputs[index].backward(parts[index], h_NE, kept.lora[index], context, dh_NE);
}

}  // namespace anneal
