#include "models/decoder_layer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

namespace anneal {
namespace {

void add_norm_gradient(const NormWeight& norm, const at::Tensor& dy, const at::Tensor& x,
                       const at::Tensor& inverse_rms) {
  if (!norm.parameter) return;
  const auto width = norm.weight_D.numel();
  norm.parameter->gradient.add_(
      rms_norm_weight_gradient(dy.view({-1, width}), x.view({-1, width}), inverse_rms));
}

at::Tensor activation(const LayerActivations& kept) {
  auto result = at::empty_like(kept.gate_NF);
  swiglu(kept.gate_NF, kept.up_NF, result);
  return result;
}

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

}  // namespace

double attention_scale(const ModelConfig& config) {
  return 1 / std::sqrt(static_cast<double>(config.head_dim));
}

Normed normed(const at::Tensor& x_ND, const NormWeight& norm, double eps) {
  Normed result{at::empty_like(x_ND),
                at::empty({x_ND.numel() / norm.weight_D.numel()}, x_ND.options().dtype(at::kFloat))};
  rms_norm(x_ND, norm.weight_D, eps, result.y, result.inverse_rms);
  return result;
}

bool DecoderLayer::trains_attention() const {
  return input_layernorm.parameter || q_norm.parameter || k_norm.parameter ||
         std::any_of(projections.begin() + kQ, projections.begin() + kGate,
                     [](const auto& p) { return p.is_trained(); });
}

bool DecoderLayer::trains_mlp() const {
  return post_attention_layernorm.parameter || std::any_of(projections.begin() + kGate, projections.end(),
                                                           [](const auto& p) { return p.is_trained(); });
}

at::Tensor DecoderLayer::forward(const ModelConfig& config, const at::Tensor& x_NE, const LayerPass& pass,
                                 LayerActivations* keep) const {
  LayerActivations local;
  LayerActivations& a = keep ? *keep : local;
  const auto tokens = x_NE.size(0);
  const auto project = [&](Projection which, const at::Tensor& x) {
    return projections[which].forward(x, pass.context, a.lora[which]);
  };
  a.input_NE = x_NE;
  {
    const auto h = normed(x_NE, input_layernorm, config.rms_norm_eps).y;
    a.q_NHD = project(kQ, h).view({tokens, config.num_attention_heads, config.head_dim});
    a.k_NKD = project(kK, h).view({tokens, config.num_key_value_heads, config.head_dim});
    a.v_NKD = project(kV, h).view({tokens, config.num_key_value_heads, config.head_dim});
  }
  if (!config.has_qk_norm) {
    apply_rope(a.q_NHD, pass.rope, Rotation::kForward);
    apply_rope(a.k_NKD, pass.rope, Rotation::kForward);
  }
  const auto q_NHD = rotated(a.q_NHD, q_norm, config, pass.rope);
  const auto k_NKD = rotated(a.k_NKD, k_norm, config, pass.rope);
  if (pass.attend)
    a.attended.out_NHD = (*pass.attend)(q_NHD, k_NKD, a.v_NKD);
  else
    a.attended = attention(q_NHD, k_NKD, a.v_NKD, pass.segment_starts, attention_scale(config));
  a.after_attention_NE = project(kO, a.attended.out_NHD.view({tokens, -1})).add_(x_NE);
  {
    const auto h = normed(a.after_attention_NE, post_attention_layernorm, config.rms_norm_eps).y;
    a.gate_NF = project(kGate, h);
    a.up_NF = project(kUp, h);
  }
  return project(kDown, activation(a)).add_(a.after_attention_NE);
}

void DecoderLayer::backward_mlp(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                                const PassContext& context, bool wants_input_gradient) const {
  at::Tensor d_activation;
  projections[kDown].backward(dx_NE, activation(kept), kept.lora[kDown], context, &d_activation);
  swiglu_backward(d_activation, kept.gate_NF, kept.up_NF);  // they now hold their gradients
  const auto h = normed(kept.after_attention_NE, post_attention_layernorm, config.rms_norm_eps);
  at::Tensor dh;
  at::Tensor* wanted = wants_input_gradient || post_attention_layernorm.parameter ? &dh : nullptr;
  projections[kGate].backward(kept.gate_NF, h.y, kept.lora[kGate], context, wanted);
  projections[kUp].backward(kept.up_NF, h.y, kept.lora[kUp], context, wanted);
  kept.gate_NF.reset();
  kept.up_NF.reset();
  if (!wanted) return;
  add_norm_gradient(post_attention_layernorm, dh, kept.after_attention_NE, h.inverse_rms);
  rms_norm_backward(dh, kept.after_attention_NE, post_attention_layernorm.weight_D, h.inverse_rms, dx_NE,
                    /*accumulate=*/true);
}

void DecoderLayer::backward_attention(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                                      const LayerPass& pass, bool wants_input_gradient) const {
  const auto tokens = dx_NE.size(0);
  at::Tensor d_attended;
  projections[kO].backward(dx_NE, kept.attended.out_NHD.view({tokens, -1}), kept.lora[kO], pass.context,
                           &d_attended);
  auto d = attention_backward(d_attended.view_as(kept.attended.out_NHD),
                              rotated(kept.q_NHD, q_norm, config, pass.rope),
                              rotated(kept.k_NKD, k_norm, config, pass.rope), kept.v_NKD, kept.attended,
                              pass.segment_starts, attention_scale(config));
  backward_rotated(d.dq_NHD, kept.q_NHD, q_norm, config, pass.rope);
  backward_rotated(d.dk_NKD, kept.k_NKD, k_norm, config, pass.rope);

  const auto h = normed(kept.input_NE, input_layernorm, config.rms_norm_eps);
  at::Tensor dh;
  at::Tensor* wanted = wants_input_gradient || input_layernorm.parameter ? &dh : nullptr;
  projections[kQ].backward(d.dq_NHD.view({tokens, -1}), h.y, kept.lora[kQ], pass.context, wanted);
  projections[kK].backward(d.dk_NKD.view({tokens, -1}), h.y, kept.lora[kK], pass.context, wanted);
  projections[kV].backward(d.dv_NKD.view({tokens, -1}), h.y, kept.lora[kV], pass.context, wanted);
  if (!wanted) return;
  add_norm_gradient(input_layernorm, dh, kept.input_NE, h.inverse_rms);
  rms_norm_backward(dh, kept.input_NE, input_layernorm.weight_D, h.inverse_rms, dx_NE, /*accumulate=*/true);
}

void DecoderLayer::backward(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                            const LayerPass& pass, bool wants_input_gradient) const {
  const bool below_mlp = wants_input_gradient || trains_attention();
  if (below_mlp || trains_mlp()) backward_mlp(config, dx_NE, kept, pass.context, below_mlp);
  if (below_mlp) backward_attention(config, dx_NE, kept, pass, wants_input_gradient);
  kept = LayerActivations();
  if (!wants_input_gradient) dx_NE.reset();
}

}  // namespace anneal
