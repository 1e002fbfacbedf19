#include "models/attention_block.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>

namespace anneal {
namespace {

// The queries or keys that attention sees, from what the activations hold of them.
at::Tensor rotated(const at::Tensor& held_NHD, const NormWeight& norm, const ModelConfig& config,
                   const RopeTable& rope) {
  if (!norm.weight_D.defined()) return held_NHD;
  auto x_NHD = normed(held_NHD, norm, config.rms_norm_eps).y;
  apply_rope(x_NHD, rope, Rotation::kForward);
  return x_NHD;
}

// From the gradient of rotated queries or keys to that of the projection's output.
void backward_rotated(at::Tensor& d_NHD, const at::Tensor& held_NHD, const NormWeight& norm,
                      const ModelConfig& config, const RopeTable& rope) {
  apply_rope(d_NHD, rope, Rotation::kInverse);
  if (!norm.weight_D.defined()) return;
  const auto inverse_rms = normed(held_NHD, norm, config.rms_norm_eps).inverse_rms;
  add_norm_gradient(norm, d_NHD, held_NHD, inverse_rms);
  rms_norm_backward(d_NHD, held_NHD, norm.weight_D, inverse_rms, d_NHD, /*accumulate=*/false);
}

at::Tensor flat(const at::Tensor& x_NHD) { return x_NHD.view({x_NHD.size(0), -1}); }

}  // namespace

double attention_scale(const ModelConfig& config) {
  return 1 / std::sqrt(static_cast<double>(config.head_dim));
}

bool AttentionBlock::is_trained() const {
  return q_norm.parameter || k_norm.parameter || o_proj.is_trained() ||
         std::any_of(inputs.begin(), inputs.end(), [](const auto& linear) { return linear.is_trained(); });
}

void AttentionBlock::project_inputs(const ModelConfig& config, const at::Tensor& h_NE,
                                    const PassContext& context, AttentionActivations& keep) const {
  std::vector<at::Tensor> parts;
  for (std::size_t index = 0; index < inputs.size(); ++index)
    parts.push_back(inputs[index].forward(h_NE, context, keep.lora[index]));
  if (parts.size() == 1)
    parts = parts[0].split_with_sizes({config.q_width(), config.kv_width(), config.kv_width()}, 1);
  const auto heads = [&](const at::Tensor& part, std::int64_t count) {
    return part.contiguous().view({h_NE.size(0), count, config.head_dim});
  };
  keep.q_NHD = heads(parts[0], config.num_attention_heads);
  keep.k_NKD = heads(parts[1], config.num_key_value_heads);
  keep.v_NKD = heads(parts[2], config.num_key_value_heads);
}

at::Tensor AttentionBlock::forward(const ModelConfig& config, const at::Tensor& h_NE, const LayerPass& pass,
                                   AttentionActivations& keep) const {
  project_inputs(config, h_NE, pass.context, keep);
  if (!q_norm.weight_D.defined()) {
    apply_rope(keep.q_NHD, pass.rope, Rotation::kForward);
    apply_rope(keep.k_NKD, pass.rope, Rotation::kForward);
  }
  const auto q_NHD = rotated(keep.q_NHD, q_norm, config, pass.rope);
  const auto k_NKD = rotated(keep.k_NKD, k_norm, config, pass.rope);
  if (pass.attend)
    keep.attended.out_NHD = (*pass.attend)(q_NHD, k_NKD, keep.v_NKD, reach);
  else
    keep.attended = attention(q_NHD, k_NKD, keep.v_NKD, pass.segment_starts, attention_scale(config), reach);
  return o_proj.forward(flat(keep.attended.out_NHD), pass.context, keep.output_lora);
}

void AttentionBlock::backward(const ModelConfig& config, const at::Tensor& dy_NE, const at::Tensor& h_NE,
                              AttentionActivations& kept, const LayerPass& pass, at::Tensor* dh_NE) const {
  at::Tensor d_attended;
  o_proj.backward(dy_NE, flat(kept.attended.out_NHD), kept.output_lora, pass.context, &d_attended);
  auto d = attention_backward(d_attended.view_as(kept.attended.out_NHD),
                              rotated(kept.q_NHD, q_norm, config, pass.rope),
                              rotated(kept.k_NKD, k_norm, config, pass.rope), kept.v_NKD, kept.attended,
                              pass.segment_starts, attention_scale(config), reach);
  backward_rotated(d.dq_NHD, kept.q_NHD, q_norm, config, pass.rope);
  backward_rotated(d.dk_NKD, kept.k_NKD, k_norm, config, pass.rope);
  std::vector<at::Tensor> parts{flat(d.dq_NHD), flat(d.dk_NKD), flat(d.dv_NKD)};
  if (inputs.size() == 1) parts = {at::cat(parts, 1)};
  for (std::size_t index = 0; index < inputs.size(); ++index)
    inputs[index].backward(parts[index], h_NE, kept.lora[index], pass.context, dh_NE);
}

}  // namespace anneal
